"""`ledger pause`, `resume`, `revoke`, `terms`, `cancel`, `resend`, `rebind`, `correct-recipient`, `note`."""

from collections.abc import Callable
from functools import partial
from typing import Annotated
from uuid import UUID

import typer

from api.cli.arguments import (
    JsonFlag,
    parse_email,
    parse_group,
    parse_reservation_id,
)
from api.cli.context import OpenLedger, Session, print_json
from api.cli.term_options import NamedTerms, with_term_options
from api.errors import ApplicationError
from api.use_cases import code_actions, reservation_actions
from api.use_cases.services import Caller, LedgerServices
from domain.command_bus import CommandResult
from projections.terminal.text import say

CODE = typer.Argument(help="The code's text or its id.")
RESERVATION = typer.Argument(help="The reservation's id.")
Reason = Annotated[str, typer.Option("--note", help="Why; kept sealed in the vault.")]

SubjectAction = Callable[[LedgerServices, Caller, UUID], CommandResult]
"""A use case with all its parameters but for who asks and what it is about."""


def register(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pause, resume, revoke, terms, cancel, resend, rebind, note):
        app.command()(command)
    app.command("correct-recipient")(correct_recipient)


def pause(context: typer.Context, code: Annotated[str, CODE], note: Reason = "", json: JsonFlag = False) -> int:
    """Take no new reservations for now; those that stand go on."""
    return _act_on_code(context.obj, code, partial(code_actions.pause, note=note), json=json)


def resume(context: typer.Context, code: Annotated[str, CODE], note: Reason = "", json: JsonFlag = False) -> int:
    """Take new reservations again."""
    return _act_on_code(context.obj, code, partial(code_actions.resume, note=note), json=json)


def revoke(context: typer.Context, code: Annotated[str, CODE], note: Reason = "", json: JsonFlag = False) -> int:
    """Take no new reservations for ever: what is held is given back, what is in doubt becomes a case."""
    return _act_on_code(context.obj, code, partial(code_actions.revoke, note=note), json=json)


@with_term_options(has_defaults=False)
def terms(
    context: typer.Context,
    code: Annotated[str, CODE],
    terms: NamedTerms,
    unbind: Annotated[
        bool, typer.Option("--unbind", help="Release the binding that import-legacy kept (--keep-binding).")
    ] = False,
    note: Reason = "",
    json: JsonFlag = False,
) -> int:
    """Change the terms that are named; a limit below what is used and reserved is refused."""
    action = partial(code_actions.change_terms, changes=terms, release_binding=unbind, note=note)
    return _act_on_code(context.obj, code, action, json=json)


def cancel(
    context: typer.Context, reservation: Annotated[str, RESERVATION], note: Reason = "", json: JsonFlag = False
) -> int:
    """Take a reservation back before anything was sent; a use that counts is not touched."""
    return _act_on_reservation(context.obj, reservation, partial(reservation_actions.cancel, note=note), json=json)


def resend(
    context: typer.Context, reservation: Annotated[str, RESERVATION], note: Reason = "", json: JsonFlag = False
) -> int:
    """Send an invitation once more, as a delivery of its own; it takes no further use."""
    return _act_on_reservation(context.obj, reservation, partial(reservation_actions.resend, note=note), json=json)


def correct_recipient(
    context: typer.Context,
    reservation: Annotated[str, RESERVATION],
    email: Annotated[str, typer.Argument(help="The right address.")],
    note: Reason = "",
    json: JsonFlag = False,
) -> int:
    """Move a use to the right address; the old letter's link is dead."""
    action = partial(reservation_actions.correct_recipient, email=parse_email(email), note=note)
    return _act_on_reservation(context.obj, reservation, action, json=json)


def note(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="The code's text or id, or the reservation's id.")],
    text: Annotated[str, typer.Argument(help="What is to stand in the history; kept sealed in the vault.")],
    json: JsonFlag = False,
) -> int:
    """Note something about a code or a reservation."""
    session: Session = context.obj
    with session.open_ledger() as ledger:
        code_id = ledger.reader.find_code(subject)
        if code_id is not None:
            return _act(ledger, code_id, partial(code_actions.add_note, note=text), json=json)
        try:
            reservation_id = UUID(subject)
        except ValueError as error:
            raise typer.BadParameter("it is neither a code that we know nor an id", param_hint="'subject'") from error
        return _act(ledger, reservation_id, partial(reservation_actions.add_note, note=text), json=json)


def rebind(
    context: typer.Context,
    reservation: Annotated[str, RESERVATION],
    group: Annotated[str, typer.Option(help="The group to move to.")],
    note: Reason = "",
    json: JsonFlag = False,
) -> int:
    """Move the access of a sent invitation to another group: no use is taken, and its end stays where it is."""
    name = parse_group(group)
    if name is None:
        raise typer.BadParameter("it takes the name of a group", param_hint="'--group'")
    action = partial(reservation_actions.rebind, group=name, note=note)
    return _act_on_reservation(context.obj, reservation, action, json=json)


def _act_on_code(session: Session, code: str, action: SubjectAction, *, json: bool) -> int:
    with session.open_ledger() as ledger:
        return _act(ledger, ledger.find_code_id(code), action, json=json)


def _act_on_reservation(session: Session, reservation: str, action: SubjectAction, *, json: bool) -> int:
    reservation_id = parse_reservation_id(reservation)
    with session.open_ledger() as ledger:
        return _act(ledger, reservation_id, action, json=json)


def _act(ledger: OpenLedger, subject_id: UUID, action: SubjectAction, *, json: bool) -> int:
    """Perform an action, print its result, and return whether a rule refused it as the exit code."""
    try:
        result = action(ledger.services, ledger.caller(), subject_id)
    except ApplicationError as error:
        return ledger.report_refusal(error)
    _print(ledger, result, json=json)
    return 0


def _print(ledger: OpenLedger, result: CommandResult, *, json: bool) -> None:
    row = ledger.reader.find_balance(result.code.code_id) or {}
    state = result.code.state(ledger.now()) if result.reservation is None else result.reservation.public_state
    counted = {"used_count": row["used"], "reserved": row["reserved"]}
    if json:
        about = {"id": result.code.code_id} if result.reservation is None else {}
        if result.reservation is not None:
            about["reservation_id"] = result.reservation.reservation_id
        print_json({**about, "state": state, **counted, "changed": result.changed})
    else:
        unchanged = "" if result.changed else " (nothing to change)"
        say(f"{state}; used {row['used']}, reserved {row['reserved']}{unchanged}")
