"""`ledger pause`, `resume`, `revoke`, `terms`, `cancel`, `resend`, `rebind`, `correct-recipient`, `note`."""

from collections.abc import Callable
from functools import partial
from typing import Annotated
from uuid import UUID

import typer

from api.cli.arguments import parse_email, parse_group, parse_id, parse_reservation_id
from api.cli.context import OpenLedger, Session
from api.cli.limit_choices import say_limit_choices
from api.cli.printing import JsonFlag, NoteOption, print_json
from api.cli.term_options import NamedTerms, with_term_options
from api.schemas.code_terms import Term
from api.use_cases import code_actions, reservation_actions
from api.use_cases.preview_limits import preview_code_limit, view_of_code_limit_choice
from api.use_cases.services import Caller, LedgerServices
from domain.events.campaign import Counting
from domain.results import CommandResult
from projections.terminal.text import say

CODE = typer.Argument(help="Code or code ID.")
RESERVATION = typer.Argument(help="Reservation ID.")

SubjectAction = Callable[[LedgerServices, Caller, UUID], CommandResult]
"""A use case with all its parameters but for who asks and what it is about."""


def register(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pause, resume, revoke, terms, cancel, resend, rebind, note):
        app.command()(command)
    app.command("correct-recipient")(correct_recipient)


def pause(context: typer.Context, code: Annotated[str, CODE], note: NoteOption = "", json: JsonFlag = False) -> int:
    """Pause a code: it accepts no new reservations until it is resumed.

    Existing reservations continue.
    """
    return _act_on_code(Session(context.obj), code, partial(code_actions.pause, note=note), json=json)


def resume(context: typer.Context, code: Annotated[str, CODE], note: NoteOption = "", json: JsonFlag = False) -> int:
    """Resume a paused code."""
    return _act_on_code(Session(context.obj), code, partial(code_actions.resume, note=note), json=json)


def revoke(context: typer.Context, code: Annotated[str, CODE], note: NoteOption = "", json: JsonFlag = False) -> int:
    """Revoke a code permanently.

    Pending reservations are refunded. Those with an unknown outcome become cases.
    """
    return _act_on_code(Session(context.obj), code, partial(code_actions.revoke, note=note), json=json)


@with_term_options(has_defaults=False)
def terms(
    context: typer.Context,
    code: Annotated[str, CODE],
    terms: NamedTerms,
    unbind: Annotated[
        bool, typer.Option("--unbind", help="Release the binding that `import-legacy --keep-binding` kept.")
    ] = False,
    counting: Annotated[
        Counting | None, typer.Option(help="Uses that a new limit counts: all, or from_now.", show_default=False)
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what each choice would mean, and change nothing.")
    ] = False,
    note: NoteOption = "",
    json: JsonFlag = False,
) -> int:
    """Change terms of a code.

    Terms without an option stay as they are. A limit that is lowered below the used and reserved uses is refused (exit
    code 4). With `--counting all` it is accepted: these uses stay, and new ones are refused. With `--counting from_now`
    the limit is the number of further uses: those that exist are added to it. A repeat of the command
    adds the uses since the first run, too.

    Example: `ledger terms ABCD-EFGH-JKMN --max-uses 20 --expires-at never --note "agreed by phone"`
    """
    if preview:
        return _preview_limit(Session(context.obj), code, terms.get("max_uses"), json=json)
    action = partial(code_actions.change_terms, changes=terms, release_binding=unbind, counting=counting, note=note)
    return _act_on_code(Session(context.obj), code, action, json=json)


def _preview_limit(session: Session, code: str, max_uses: Term, *, json: bool) -> int:
    if not isinstance(max_uses, int):
        raise typer.BadParameter("needs a number to preview", param_hint="'--max-uses'")
    with session.open_ledger() as ledger:
        code_id = ledger.find_code_id(code)
        choices = preview_code_limit(ledger.services, ledger.caller(), code_id, max_uses)
        views = [view_of_code_limit_choice(choice, ledger.language) for choice in choices]
    if json:
        print_json({"id": code_id, "choices": [view.model_dump() for view in views]})
        return 0
    say_limit_choices(views)
    return 0


def cancel(
    context: typer.Context, reservation: Annotated[str, RESERVATION], note: NoteOption = "", json: JsonFlag = False
) -> int:
    """Cancel a reservation whose invitation was not sent yet.

    A use that counts is not changed.
    """
    return _act_on_reservation(
        Session(context.obj), reservation, partial(reservation_actions.cancel, note=note), json=json
    )


def resend(
    context: typer.Context, reservation: Annotated[str, RESERVATION], note: NoteOption = "", json: JsonFlag = False
) -> int:
    """Send an invitation again, without consuming another use."""
    return _act_on_reservation(
        Session(context.obj), reservation, partial(reservation_actions.resend, note=note), json=json
    )


def correct_recipient(
    context: typer.Context,
    reservation: Annotated[str, RESERVATION],
    email: Annotated[str, typer.Argument(help="The right email address.")],
    note: NoteOption = "",
    json: JsonFlag = False,
) -> int:
    """Move a use to the right email address.

    Sends a new invitation. The link in the earlier email stops working.

    Example: `ledger correct-recipient 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 li.wei@example.com`
    """
    action = partial(reservation_actions.correct_recipient, email=parse_email(email), note=note)
    return _act_on_reservation(Session(context.obj), reservation, action, json=json)


def note(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="Code, code ID or reservation ID.")],
    text: Annotated[str, typer.Argument(help="Text of the note; stored encrypted in the vault.")],
    json: JsonFlag = False,
) -> int:
    """Add a note to the history of a code or a reservation."""
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        code_id = ledger.reader.find_code(subject)
        if code_id is not None:
            return _perform(ledger, code_id, partial(code_actions.add_note, note=text), json=json)
        reservation_id = parse_id(subject, "subject", "is neither a code of this ledger nor an ID")
        return _perform(ledger, reservation_id, partial(reservation_actions.add_note, note=text), json=json)


def rebind(
    context: typer.Context,
    reservation: Annotated[str, RESERVATION],
    group: Annotated[str, typer.Option(help="Group to move the access grant to.")],
    note: NoteOption = "",
    json: JsonFlag = False,
) -> int:
    """Move the access grant of a sent invitation to another group.

    No use is consumed, and the expiry date stays the same.

    Example: `ledger rebind 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 --group blue`
    """
    name = parse_group(group)
    if name is None:
        raise typer.BadParameter("needs the name of a group", param_hint="'--group'")
    action = partial(reservation_actions.rebind, group=name, note=note)
    return _act_on_reservation(Session(context.obj), reservation, action, json=json)


def _act_on_code(session: Session, code: str, action: SubjectAction, *, json: bool) -> int:
    with session.open_ledger() as ledger:
        return _perform(ledger, ledger.find_code_id(code), action, json=json)


def _act_on_reservation(session: Session, reservation: str, action: SubjectAction, *, json: bool) -> int:
    reservation_id = parse_reservation_id(reservation)
    with session.open_ledger() as ledger:
        return _perform(ledger, reservation_id, action, json=json)


def _perform(ledger: OpenLedger, subject_id: UUID, action: SubjectAction, *, json: bool) -> int:
    """Perform an action, print its result, and return whether a rule refused it as the exit code."""
    result = action(ledger.services, ledger.caller(), subject_id)
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
