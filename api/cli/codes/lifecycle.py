"""`ledger pause`, `resume`, `revoke`, `terms`, `cancel`, `resend`, `rebind`, `correct-recipient`, `note`."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID, uuid4

import typer
from msgspec import UNSET

from api.cli.arguments import (
    JsonFlag,
    parse_days,
    parse_email,
    parse_group,
    parse_rebinds,
    parse_reservation_id,
    parse_time_option,
    parse_uses,
)
from api.cli.context import OpenLedger, Session, print_json
from domain.command_bus import CodeCommand, CommandResult, ReservationCommand
from domain.commands.access.rebind import RebindReservation
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.request_resend import RequestResend
from domain.errors import Refusal
from projections.storage.revocation_queue import case_ids, settle_revoked_code
from projections.terminal.text import say
from projections.vault.vault import PrivateText

CODE = typer.Argument(help="The code's text or its id.")
RESERVATION = typer.Argument(help="The reservation's id.")
Reason = Annotated[str, typer.Option("--note", help="Why; kept sealed in the vault.")]

SETTLING_COMMANDS_MAX = 100_000
"""More than any code needs: 100 reservations each."""


def register(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (pause, resume, revoke, terms, cancel, resend, rebind, note):
        app.command()(command)
    app.command("correct-recipient")(correct_recipient)


def pause(context: typer.Context, code: Annotated[str, CODE], note: Reason = "", json: JsonFlag = False) -> int:
    """Take no new reservations for now; those that stand go on."""
    return _about_code(
        context.obj,
        code,
        lambda ledger, code_id: PauseCode(context=ledger.context(), code_id=code_id, note=_text(ledger, note)),
        json=json,
    )


def resume(context: typer.Context, code: Annotated[str, CODE], note: Reason = "", json: JsonFlag = False) -> int:
    """Take new reservations again."""
    return _about_code(
        context.obj,
        code,
        lambda ledger, code_id: ResumeCode(context=ledger.context(), code_id=code_id, note=_text(ledger, note)),
        json=json,
    )


def revoke(context: typer.Context, code: Annotated[str, CODE], note: Reason = "", json: JsonFlag = False) -> int:
    """Take no new reservations for ever: what is held is given back, what is in doubt becomes a case."""

    def command(ledger: OpenLedger, code_id: UUID) -> RevokeCode:
        ids = case_ids(uuid4)
        return RevokeCode(context=ledger.context(), code_id=code_id, case_ids=ids, note=_text(ledger, note))

    return _about_code(context.obj, code, command, json=json)


def terms(  # noqa: PLR0913, PLR0917 - each option of a command is an argument
    context: typer.Context,
    code: Annotated[str, CODE],
    max_uses: Annotated[str | None, typer.Option(help="A number, or unlimited.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="ISO 8601 time, or never.")] = None,
    validity_days: Annotated[str | None, typer.Option(help="Days of access, or unlimited.")] = None,
    group: Annotated[str | None, typer.Option(help="Group of new reservations; empty for none.")] = None,
    rebinds: Annotated[str | None, typer.Option(help="Moves of an access: a number from 0, or usual.")] = None,
    unbind: Annotated[
        bool, typer.Option("--unbind", help="Release the binding that import-legacy kept (--keep-binding).")
    ] = False,
    note: Reason = "",
    json: JsonFlag = False,
) -> int:
    """Change the terms that are named; a limit below what is used and reserved is refused."""
    moment = None if expires_at in {None, "never"} else parse_time_option(str(expires_at), "--expires-at")

    def command(ledger: OpenLedger, code_id: UUID) -> ChangeTerms:
        changes = {
            "max_uses": UNSET if max_uses is None else parse_uses(max_uses),
            "expires_at": UNSET if expires_at is None else moment,
            "validity_days": UNSET if validity_days is None else parse_days(validity_days),
            "group": UNSET if group is None else parse_group(group),
            "rebinds_max": UNSET if rebinds is None else parse_rebinds(rebinds),
        }
        return ChangeTerms(
            context=ledger.context(),
            code_id=code_id,
            changes={name: value for name, value in changes.items() if value is not UNSET},
            release_binding=unbind,
            note=_text(ledger, note),
        )

    return _about_code(context.obj, code, command, json=json)


def cancel(
    context: typer.Context, reservation: Annotated[str, RESERVATION], note: Reason = "", json: JsonFlag = False
) -> int:
    """Take a reservation back before anything was sent; a use that counts is not touched."""
    return _about_reservation(
        context.obj,
        reservation,
        lambda ledger, item: CancelReservation(
            context=ledger.context(), reservation_id=item, note=_text(ledger, note, item)
        ),
        json=json,
    )


def resend(
    context: typer.Context, reservation: Annotated[str, RESERVATION], note: Reason = "", json: JsonFlag = False
) -> int:
    """Send an invitation once more, as a delivery of its own; it takes no further use."""
    return _about_reservation(
        context.obj,
        reservation,
        lambda ledger, item: RequestResend(
            context=ledger.context(), reservation_id=item, note=_text(ledger, note, item)
        ),
        json=json,
    )


def correct_recipient(
    context: typer.Context,
    reservation: Annotated[str, RESERVATION],
    email: Annotated[str, typer.Argument(help="The right address.")],
    note: Reason = "",
    json: JsonFlag = False,
) -> int:
    """Move a use to the right address; the old letter's link is dead."""
    address = parse_email(email)

    def command(ledger: OpenLedger, item: UUID) -> CorrectRecipient:
        return CorrectRecipient(
            context=ledger.context(),
            reservation_id=item,
            recipient=ledger.storage.vault.draft_recipient(address, uuid4()),
            new_reservation_id=uuid4(),
            note=_text(ledger, note, item),
        )

    return _about_reservation(context.obj, reservation, command, json=json)


def note(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="The code's text or id, or the reservation's id.")],
    text: Annotated[str, typer.Argument(help="What is to stand in the history; kept sealed in the vault.")],
    json: JsonFlag = False,
) -> int:
    """Note something about a code or a reservation."""
    session: Session = context.obj
    with session.open() as ledger:
        code_id = ledger.reader.find_code(subject)
        if code_id is not None:
            about_code = NoteOnCode(
                context=ledger.context(), code_id=code_id, note=ledger.storage.vault.seal_text(text, uuid4())
            )
            return _run(ledger, about_code, json=json)
        try:
            item = UUID(subject)
        except ValueError as bad:
            raise typer.BadParameter("it is neither a code that we know nor an id", param_hint="'subject'") from bad
        kept = ledger.storage.vault.seal_text(text, uuid4(), item)
        return _run(ledger, NoteOnReservation(context=ledger.context(), reservation_id=item, note=kept), json=json)


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

    def command(ledger: OpenLedger, item: UUID) -> RebindReservation:
        return RebindReservation(
            context=ledger.context(),
            reservation_id=item,
            new_reservation_id=uuid4(),
            group=name,
            note=_text(ledger, note, item),
        )

    return _about_reservation(context.obj, reservation, command, json=json)


def _about_code(session: Session, code: str, command: Callable[[OpenLedger, UUID], CodeCommand], *, json: bool) -> int:
    with session.open() as ledger:
        return _run(ledger, command(ledger, ledger.code_id(code)), json=json)


def _about_reservation(
    session: Session, reservation: str, command: Callable[[OpenLedger, UUID], ReservationCommand], *, json: bool
) -> int:
    item = parse_reservation_id(reservation)
    with session.open() as ledger:
        return _run(ledger, command(ledger, item), json=json)


def _run(ledger: OpenLedger, command: CodeCommand | ReservationCommand, *, json: bool) -> int:
    """Decide, print, and say by the exit code whether a rule refused it."""
    execute = ledger.storage.ledger.execute
    result = execute([command])[0]
    if isinstance(result, Refusal):
        return ledger.refuse(result)
    if isinstance(command, RevokeCode):
        settle_revoked_code(execute, command.code_id, ledger.context, uuid4, SETTLING_COMMANDS_MAX)
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


def _text(ledger: OpenLedger, note: str, reservation_id: UUID | None = None) -> PrivateText | None:
    return ledger.storage.vault.seal_text(note, uuid4(), reservation_id) if note else None
