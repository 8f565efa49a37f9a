"""`ledger cases`, `resolve`: the review queue, and decisions about its cases."""

from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from api.cli.arguments import AccessChoice, parse_reservation_id
from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, format_timestamp, print_json
from api.i18n.messages import event_sentence
from api.use_cases import reservation_actions
from domain.commands.reservation.resolve_case import Resolution
from projections.read_models.pagination import OLDEST, read_to_end
from projections.read_models.reader import CaseRow
from projections.terminal.tables import show, styled, table
from projections.terminal.text import say


class CaseResolution(StrEnum):
    """The decision about a case."""

    SENT = "sent"
    REFUNDED = "refunded"
    RETRY = "retry"


RESOLUTIONS: dict[CaseResolution, Resolution] = {
    CaseResolution.SENT: "sent",
    CaseResolution.REFUNDED: "refunded",
    CaseResolution.RETRY: "retry",
}


def register(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(cases)
    app.command()(resolve)


@leaves_no_record(READS_ONLY)
def cases(
    context: typer.Context,
    closed: Annotated[bool, typer.Option("--closed", help="Also list closed cases.")] = False,
    json: JsonFlag = False,
) -> int:
    """List the cases that need manual review, oldest first."""
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        read_page = partial(ledger.reader.list_cases, closed_too=closed)
        open_cases = list(read_to_end(read_page, OLDEST, lambda case: (case.opened_at, case.case_id)))
    if json:
        print_json([case._asdict() for case in open_cases])
    elif not open_cases:
        say("no case is open" if not closed else "there are no cases")
    else:
        _print_table(open_cases, ledger)
    return 0


def resolve(
    context: typer.Context,
    reservation: Annotated[str, typer.Argument(help="Reservation ID.")],
    as_: Annotated[
        CaseResolution, typer.Option("--as", help="sent: count the use; refunded: refund it; retry: send again.")
    ],
    note: Annotated[str, typer.Option(help="What you found out; stored encrypted in the vault.")],
    revoke_access: AccessChoice = None,
    json: JsonFlag = False,
) -> int:
    """Resolve a case or an invitation with an unknown outcome.

    Example: `ledger resolve 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 --as sent --note "found in the mail server's log"`
    """
    reservation_id = parse_reservation_id(reservation)
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        result = reservation_actions.resolve(
            ledger.services,
            ledger.caller(),
            reservation_id,
            RESOLUTIONS[as_],
            revoke_access=revoke_access,
            note=note,
        )
    state = result.require_reservation().public_state
    if json:
        counted = {"used_count": result.code.used, "reserved": result.code.reserved}
        print_json({"reservation_id": reservation_id, "state": state, **counted})
    else:
        say(f"{state}; used {result.code.used}, reserved {result.code.reserved}")
    return 0


def _print_table(open_cases: list[CaseRow], ledger: OpenLedger) -> None:
    rows = table("opened (UTC)", "reservation", "what happened", fixed=("opened (UTC)", "reservation"))
    for case in open_cases:
        sentence = event_sentence("CaseOpened", {"cause": case.cause}, ledger.language)
        if case.closed_at is not None:
            closing = event_sentence("CaseClosed", {"how": case.closed_how}, ledger.language)
            sentence = f"{sentence}; {format_timestamp(case.closed_at)}: {closing}"
        rows.add_row(format_timestamp(case.opened_at), str(case.reservation_id), sentence)
    show(rows)
    if any(case.closed_at is None for case in open_cases):
        show("", styled("ledger resolve RESERVATION --as sent|refunded|retry --note TEXT", "dim"))
