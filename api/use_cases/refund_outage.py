"""Refunds after an outage: the reservations that it affected, and refunding them batch by batch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from api.use_cases.approvals.approval_guard import require_approval
from api.use_cases.approvals.requests import RefundOutage
from api.use_cases.services import Caller, LedgerServices
from domain.commands.reservation.resolve_case import RefundAfterOutage
from domain.events.reservation import BY_STAFF, InviteAttempted, InviteOutcomeUnknown, InviteSent, ReservationEvent
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import fold_reservation
from domain.results import CommandResult
from domain.values.batched import batched
from projections.read_models.reader import Reader


class OutageWindow(Struct, frozen=True, kw_only=True):
    """The sending attempts that an outage affected: those that were in progress during a time.

    Attributes:
        start: First point in time.
        end: The point in time after the last one.
        channel: Such as smtp; None for any.
        server: Host and port as histories show them; None for any, also for attempts at an unknown server.
    """

    start: datetime
    end: datetime
    channel: str | None = None
    server: str | None = None

    def as_request(self, *, include_sent: bool) -> RefundOutage:
        """Return the refunds of what it affected, as a request that may need an approval."""
        return RefundOutage(self.start, self.end, include_sent, self.channel, self.server)


class AffectedReservation(Struct, frozen=True, kw_only=True):
    """A reservation to refund.

    Attributes:
        state: unknown (parked with an unknown outcome) or sent (and not accepted).
        at: When the attempt ended.
    """

    reservation_id: UUID
    code_id: UUID
    state: str
    at: datetime
    channel: str | None
    server: str | None


def find_effect(
    reservation: Reservation, events: Iterable[ReservationEvent], window: OutageWindow
) -> AffectedReservation | None:
    """Return the effect of an outage on a reservation; None if there is none, or nothing is left to refund.

    Of a sent reservation the last email counts: a resend since then has helped the recipient already. A case that
    staff resolved as sent is no effect of the outage.
    """
    is_parked = reservation.is_live and reservation.ever_unknown and reservation.case_id is not None
    is_unaccepted = reservation.status == "sent" and reservation.accepted_at is None
    if not is_parked and not is_unaccepted:
        return None
    attempts: dict[tuple[int, int], InviteAttempted] = {}
    effect: AffectedReservation | None = None
    for event in events:
        if isinstance(event, InviteAttempted):
            attempts[event.delivery, event.attempt] = event
        elif isinstance(event, InviteOutcomeUnknown if is_parked else InviteSent):
            attempt = attempts.get((event.delivery, event.attempt))
            if attempt is not None and _is_within(attempt, event, window):
                effect = AffectedReservation(
                    reservation_id=reservation.reservation_id,
                    code_id=reservation.code_id,
                    state="unknown" if is_parked else "sent",
                    at=event.at,
                    channel=attempt.channel,
                    server=event.server,
                )
            elif is_unaccepted:
                effect = None  # sent again, outside of the outage or through another server
    return effect


def _is_within(attempt: InviteAttempted, ended: InviteOutcomeUnknown | InviteSent, window: OutageWindow) -> bool:
    in_time = attempt.at < window.end and ended.at >= window.start
    if ended.server == BY_STAFF:
        return False
    return in_time and window.channel in {None, attempt.channel} and window.server in {None, ended.server}


READ_BATCH = 500
REFUND_BATCH = 100
"""Commands per transaction: an interruption leaves whole batches done, and the next run finds the rest."""


def find_affected(reader: Reader, window: OutageWindow, *, include_sent: bool) -> Iterator[AffectedReservation]:
    """List the reservations that an outage affected and that can be refunded now."""
    candidates = reader.list_outage_candidates(window.start, window.end, include_sent=include_sent)
    for ids in batched(candidates, READ_BATCH):
        for history in reader.read_reservation_events(ids).values():
            reservation = fold_reservation(history.code_id, history.events)
            affected = find_effect(reservation, (event for _, event in history.events), window)
            if affected is not None:
                yield affected


def refund_affected(
    services: LedgerServices,
    caller: Caller,
    affected: Sequence[AffectedReservation],
    correlation_id: UUID,
    request: RefundOutage,
    *,
    reason: str = "",
    uses: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Refund reservations batch by batch, except those that were settled since they were listed.

    Args:
        services: An open ledger.
        caller: Who asks.
        affected: As `find_affected` lists them.
        correlation_id: Of all events.
        request: What is asked; with `include_sent` also what was listed as sent.
        reason: Why, for the audit log, which has one entry by the correlation id.
        uses: How many the outage affected, if these are only some of them.
        progress: Receives the size of each batch that is done.

    Returns:
        How many were refunded.

    Raises:
        ApplicationError: APPROVAL_REQUIRED, they wait for a second person now.
        StorageUnavailableError: The database is unavailable; batches that are done stay refunded.
    """
    if affected:
        require_approval(services, caller, request, reason, uses=uses or len(affected))
    if affected and reason:
        services.open_audit_log(caller).record("undid_outage", correlation_id, reason)
    refunded = 0
    for batch in batched(affected, REFUND_BATCH):
        context = replace(services.context(caller), correlation_id=correlation_id)
        commands = [
            RefundAfterOutage(
                context=context,
                reservation_id=reservation.reservation_id,
                # One that was listed as unknown and turned out to be sent stays sent.
                include_sent=request.include_sent and reservation.state == "sent",
            )
            for reservation in batch
        ]
        results = services.storage.ledger.execute(commands)
        refunded += sum(isinstance(result, CommandResult) and result.changed for result in results)
        progress(len(batch))
    return refunded
