"""`ledger refund-outage`: refund what an outage affected, each reservation once, under one correlation id."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID, uuid4

import typer
from msgspec.structs import asdict

from api.cli.arguments import parse_time_option
from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, format_timestamp, print_json
from api.cli.progress import CommandProgress
from api.use_cases.approvals.requests import RefundOutage
from api.use_cases.refund_outage import AffectedReservation, OutageWindow, find_affected, refund_affected
from projections.terminal.tables import show, styled, table
from projections.terminal.text import say

SHOWN_MAX = 50


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command("refund-outage")(refund_outage)


def refund_outage(
    context: typer.Context,
    start: Annotated[str, typer.Option("--from", help="Start of the outage (ISO 8601, UTC by default).")],
    end: Annotated[str, typer.Option("--to", help="End of the outage (ISO 8601, UTC by default).")],
    include_sent: Annotated[
        bool, typer.Option("--include-sent", help="Also refund invitations that were sent then and never accepted.")
    ] = False,
    channel: Annotated[str | None, typer.Option(help="Only attempts through this channel, such as smtp.")] = None,
    server: Annotated[
        str | None,
        typer.Option(help="Only attempts on this server (HOST:PORT, as in the history); an unknown server is skipped."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Refund them; otherwise only list them.")] = False,
    json: JsonFlag = False,
) -> int:
    """Refund reservations that an outage left with an unknown outcome.

    With --include-sent, also those sent but never accepted. Without --apply, only lists what would be refunded.

    Example: `ledger refund-outage --from 2026-11-24T08:00 --to 2026-11-24T09:30 --server mail.example.com:587`
    """
    window = OutageWindow(
        start=parse_time_option(start, "--from"), end=parse_time_option(end, "--to"), channel=channel, server=server
    )
    if window.start >= window.end:
        raise typer.BadParameter("--from must be earlier than --to")
    session = Session(context.obj)
    correlation_id = uuid4() if apply else None
    refunded = 0
    with session.open_ledger() as ledger:
        affected = list(find_affected(ledger.reader, window, include_sent=include_sent))
        if correlation_id is not None:
            refunded = _refund(ledger, affected, correlation_id, window.as_request(include_sent=include_sent))
    if json:
        terms = {**asdict(window), "include_sent": include_sent}
        outcome = {"applied": apply, "correlation_id": correlation_id, "refunded": refunded}
        print_json({**terms, **outcome, "found": [asdict(reservation) for reservation in affected]})
        return 0
    _print_table(affected)
    if correlation_id is not None:
        say(f"refunded {refunded} of {len(affected)} under correlation id {correlation_id}")
    elif affected:
        say(f"{len(affected)} would be refunded; nothing was changed: add --apply to refund them")
    return 0


def _refund(
    ledger: OpenLedger, affected: Sequence[AffectedReservation], correlation_id: UUID, request: RefundOutage
) -> int:
    """Refund each with a progress bar; return how many were refunded."""
    with CommandProgress("refunding", len(affected)) as steps:
        return refund_affected(
            ledger.services,
            ledger.caller(),
            affected,
            correlation_id,
            request,
            progress=steps.more,
        )


def _print_table(affected: Sequence[AffectedReservation]) -> None:
    if not affected:
        say("nothing to refund: no reservation of that time matches")
        return
    names = ("attempt ended (UTC)", "reservation", "state", "channel", "server")
    rows = table(*names, fixed=names[:3])
    for reservation in affected[:SHOWN_MAX]:
        rows.add_row(
            format_timestamp(reservation.at),
            str(reservation.reservation_id),
            reservation.state,
            reservation.channel or "?",
            reservation.server or "?",
        )
    show(rows)
    if len(affected) > SHOWN_MAX:
        show(styled(f"... and {len(affected) - SHOWN_MAX} more (--json lists all)", "dim"))
