"""What time alone does: leases that lapse and deadlines that pass. Used by the sweep and by other decisions."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from domain.commands import case_events
from domain.commands.context import Context, Decision, EventStamp, stamp
from domain.errors import ReservationUnknown
from domain.events import CaseOpened, Event, InviteOutcomeUnknown, ReservationEvent, UseRefunded
from domain.model import redeem_code, reservation
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.working_set import WorkingSet


class SettleDue(Struct, frozen=True, kw_only=True):
    """Do what is due on a reservation. `case_id` is new and random, used only if a case has to be opened."""

    context: Context
    reservation_id: UUID
    case_id: UUID


def settle_due(command: SettleDue, book: WorkingSet, policy: Policy) -> Decision:
    """Record a lapsed lease as unknown, give back an overdue use, or park what no machine may decide.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    code = book.codes[item.code_id]
    events = due_events(code, item, stamp(command.context, code), command.case_id, policy)
    return Decision(code.code_id, events, item.reservation_id)


def due_events(code: RedeemCode, item: Reservation, now: EventStamp, case_id: UUID, policy: Policy) -> Sequence[Event]:
    """The events that time, or its code's revoking, has made due on one reservation; none if nothing is."""
    if not item.is_in_work or item.case_id is not None or item.is_leased(now.at):
        return ()
    if item.lease is not None:
        return unknown_outcome(code, item, now, "lease_expired", None, case_id, policy)
    if code.is_revoked and is_released_by_revocation(item):
        return release_on_revocation(code, item, now, case_id)
    if item.deadline > now.at or item.is_waiting_for_removal:
        return ()
    if item.resending:
        return (case_events.opened(item, now, case_id, "resend_expired", caused_by=item.moved_by),)
    if item.ever_unknown:
        return (case_events.opened(item, now, case_id, "unknown_outcome", caused_by=item.moved_by),)
    return release_overdue(code, [item], now)


def release_overdue(code: RedeemCode, items: Sequence[Reservation], now: EventStamp) -> list[Event]:
    """Refund reservations past their deadline; the caller has checked `is_overdue`."""
    return [
        UseRefunded(
            **now.fields,
            reservation_id=item.reservation_id,
            cause="grant_ended" if item.is_access_over(now.at) else "deadline",
            held="reserved",
            kind=item.kind,
            caused_by=item.moved_by,
        )
        for item in items
        if item.code_id == code.code_id
    ]


def is_released_by_revocation(item: Reservation) -> bool:
    """Whether a revoked code gives this reservation back or makes it a case: it is held, and not being sent."""
    return item.is_live and item.lease is None and item.case_id is None


def release_on_revocation(
    code: RedeemCode, item: Reservation, now: EventStamp, case_id: UUID | None
) -> Sequence[Event]:
    """The end of such a reservation: given back, or a case at once if its letter may have arrived (rule 11).

    A case needs an id; without one it is left to who has one.
    """
    if item.ever_unknown:
        if case_id is None:
            return ()
        return (case_events.opened(item, now, case_id, "unknown_outcome", caused_by=code.revoked_by),)
    refund = UseRefunded(
        **now.fields,
        reservation_id=item.reservation_id,
        cause="revoked",
        held="reserved",
        kind=item.kind,
        caused_by=code.revoked_by,
    )
    return (refund,)


def expire_lease(code: RedeemCode, item: Reservation, now: EventStamp, policy: Policy) -> Sequence[Event]:
    """What whoever comes by records of a lease that ended without an outcome; a case needs an id, and who has one."""
    if item.lease is None or item.is_leased(now.at) or item.case_id is not None:
        return ()
    events = unknown_outcome(code, item, now, "lease_expired", None, item.reservation_id, policy)
    return () if any(isinstance(event, CaseOpened) for event in events) else events


def after_lapse(
    code: RedeemCode, item: Reservation, now: EventStamp, case_id: UUID, policy: Policy
) -> tuple[Sequence[Event], RedeemCode, Reservation]:
    """Record a lease that ended without an outcome, for a command that comes before the sweep (rule 5).

    Returns:
        The events, and code and reservation as they leave them; no events where no lease has lapsed.
    """
    has_other_case = item.case_id is not None and not item.needs_no_delivery
    if item.lease is None or item.is_leased(now.at) or has_other_case:
        return (), code, item
    events = unknown_outcome(code, item, now, "lease_expired", None, case_id, policy)
    return (events, *folded(events, code, item))


def folded(events: Sequence[ReservationEvent], code: RedeemCode, item: Reservation) -> tuple[RedeemCode, Reservation]:
    """Code and reservation with new events of that reservation."""
    for event in events:
        code = redeem_code.evolve(code, code.version + 1, event)
        item = reservation.evolve(item, code.version, event)
    return code, item


def unknown_outcome(
    code: RedeemCode,
    item: Reservation,
    now: EventStamp,
    cause: str,
    server: str | None,
    case_id: UUID,
    policy: Policy,
) -> Sequence[ReservationEvent]:
    """The running attempt may or may not have sent: try again with the same letter while there is time, else park.

    A machine never refunds from here on (rule 5). On a revoked code, and of a delivery that staff asked for, it is
    for a person at once (3.11, 3.12).
    """
    lease = item.lease
    if lease is None:
        message = "only a leased attempt can end unknown"
        raise ValueError(message)
    retry_at = now.at + policy.back_off(item.reservation_id, item.attempts)
    is_tried_on = item.is_live and not code.is_revoked
    tries_left = is_tried_on and item.attempts < policy.attempts_max and retry_at < item.deadline
    unknown = InviteOutcomeUnknown(
        **now.fields,
        reservation_id=item.reservation_id,
        delivery=item.delivery,
        attempt=lease.attempt,
        kind=item.kind,
        cause=cause,
        server=server,
        retry_at=retry_at if tries_left else None,
        caused_by=lease.version,
    )
    if tries_left or item.needs_no_delivery:
        return (unknown,)
    why: case_events.CaseCause = "unknown_outcome" if item.is_live else "resend_unknown"
    return (unknown, case_events.opened(item, now, case_id, why, caused_by=code.version + 1))
