"""Do what time alone requires: leases that lapse and deadlines that pass. The sweep and other handlers use it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.commands.case_events import CaseCause, open_case
from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp
from domain.events.event import Event
from domain.events.reservation import InviteOutcomeUnknown, ReservationEvent, UseRefunded
from domain.judgment import LEASE_LOST, Again, Attempts, invitation_rules, judge
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation
from domain.policy import Policy
from domain.ports import OutcomeUnknown
from domain.working_set import WorkingSet


class SettleDue(Struct, frozen=True, kw_only=True):
    """Do what is due on a reservation. `case_id` is new and random, used only if a case has to be opened."""

    context: CommandContext
    reservation_id: UUID
    case_id: UUID


def settle_due(command: SettleDue, working_set: WorkingSet, policy: Policy) -> Decision:
    """Record a lapsed lease as an unknown outcome, refund an overdue use, or open a case.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    reservation = working_set.reservation(command.reservation_id)
    code = working_set.codes[reservation.code_id]
    events = due_events(code, reservation, event_stamp(command.context, code), command.case_id, policy)
    return Decision(code.code_id, events, reservation.reservation_id)


def due_events(
    code: RedeemCode, reservation: Reservation, stamp: EventStamp, case_id: UUID, policy: Policy
) -> Sequence[Event]:
    """Return the events that time, or the code's revocation, has made due on one reservation."""
    if not reservation.is_being_processed or reservation.case_id is not None or reservation.is_leased(stamp.now):
        return ()
    if reservation.lease is not None:
        return unknown_outcome(code, reservation, stamp, None, case_id, policy)
    if code.is_revoked and is_released_by_revocation(reservation):
        return release_on_revocation(code, reservation, stamp, case_id)
    if reservation.deadline > stamp.now or reservation.is_waiting_for_removal:
        return ()
    if reservation.resending:
        return (open_case(reservation, stamp, case_id, "resend_expired", caused_by=reservation.moved_by),)
    if reservation.ever_unknown:
        return (open_case(reservation, stamp, case_id, "unknown_outcome", caused_by=reservation.moved_by),)
    return release_overdue(code, [reservation], stamp)


def release_overdue(code: RedeemCode, reservations: Sequence[Reservation], stamp: EventStamp) -> list[Event]:
    """Refund reservations past their deadline; the caller has checked `is_overdue`."""
    return [
        UseRefunded(
            **stamp.for_reservation(reservation),
            cause="grant_ended" if reservation.is_access_over(stamp.now) else "deadline",
            held="reserved",
            kind=reservation.kind,
            caused_by=reservation.moved_by,
        )
        for reservation in reservations
        if reservation.code_id == code.code_id
    ]


def is_released_by_revocation(reservation: Reservation) -> bool:
    """Return whether a revoked code's reservation becomes a refund or a case: it is pending and not being sent."""
    return reservation.is_live and reservation.lease is None and reservation.case_id is None


def release_on_revocation(
    code: RedeemCode, reservation: Reservation, stamp: EventStamp, case_id: UUID | None
) -> Sequence[Event]:
    """Return the end of such a reservation: a refund, or a case if its invitation may have arrived (rule 11).

    A case needs an id; without one it is left to a command that brings one.
    """
    if reservation.ever_unknown:
        if case_id is None:
            return ()
        return (open_case(reservation, stamp, case_id, "unknown_outcome", caused_by=code.revoked_by),)
    refund = UseRefunded(
        **stamp.for_reservation(reservation),
        cause="revoked",
        held="reserved",
        kind=reservation.kind,
        caused_by=code.revoked_by,
    )
    return (refund,)


def expire_lease(code: RedeemCode, reservation: Reservation, stamp: EventStamp, policy: Policy) -> Sequence[Event]:
    """Return what any command records about a lease that ended without an outcome.

    A case needs an id, so not every command opens one.
    """
    if reservation.lease is None or reservation.is_leased(stamp.now) or reservation.case_id is not None:
        return ()
    unknown = _unknown_event(code, reservation, stamp, None, policy)
    return () if _needs_case(reservation, unknown) else (unknown,)


def settle_lapsed_lease(
    code: RedeemCode, reservation: Reservation, stamp: EventStamp, case_id: UUID, policy: Policy
) -> tuple[Sequence[Event], RedeemCode, Reservation]:
    """Record a lease that ended without an outcome, for a command that comes before the sweep (rule 5).

    Returns:
        The events, and code and reservation as they leave them; no events where no lease has lapsed.
    """
    has_other_case = reservation.case_id is not None and not reservation.needs_no_delivery
    if reservation.lease is None or reservation.is_leased(stamp.now) or has_other_case:
        return (), code, reservation
    events = unknown_outcome(code, reservation, stamp, None, case_id, policy)
    return (events, *folded(events, code, reservation))


def folded(
    events: Sequence[ReservationEvent], code: RedeemCode, reservation: Reservation
) -> tuple[RedeemCode, Reservation]:
    """Return a code and a reservation after new events of that reservation."""
    for event in events:
        code = evolve_code(code, code.code_id, code.version + 1, event)
        reservation = evolve_reservation(reservation, code.code_id, code.version, event)
    return code, reservation


def unknown_outcome(
    code: RedeemCode,
    reservation: Reservation,
    stamp: EventStamp,
    outcome: OutcomeUnknown | None,
    case_id: UUID,
    policy: Policy,
    *,
    ms_ago: tuple[int, ...] = (),
) -> Sequence[ReservationEvent]:
    """Return the events of an attempt that may or may not have sent.

    It is retried with the same email while there is time; otherwise a case is opened. The system never refunds it from
    here on (rule 5). On a revoked code, and for a resend, it is a case at once (3.11, 3.12). `outcome`: what the sender
    reported; None if the lease ended without it.
    """
    unknown = _unknown_event(code, reservation, stamp, outcome, policy, ms_ago)
    if not _needs_case(reservation, unknown):
        return (unknown,)
    why: CaseCause = "unknown_outcome" if reservation.is_live else "resend_unknown"
    return (unknown, open_case(reservation, stamp, case_id, why, caused_by=code.version + 1))


def _unknown_event(
    code: RedeemCode,
    reservation: Reservation,
    stamp: EventStamp,
    outcome: OutcomeUnknown | None,
    policy: Policy,
    ms_ago: tuple[int, ...] = (),
) -> InviteOutcomeUnknown:
    lease = reservation.lease
    if lease is None:
        message = "only a leased attempt can end unknown"
        raise ValueError(message)
    is_retried = reservation.is_live and not code.is_revoked
    attempts = count_attempts(reservation, stamp.now, reservation.deadline if is_retried else stamp.now)
    judgment = judge(outcome, attempts, invitation_rules(policy))
    return InviteOutcomeUnknown(
        **stamp.for_reservation(reservation),
        delivery=reservation.delivery,
        attempt=lease.attempt,
        kind=reservation.kind,
        cause=(outcome or LEASE_LOST).cause,
        server=None if outcome is None else outcome.server,
        retry_at=judgment.at if isinstance(judgment, Again) else None,
        ms_ago=ms_ago,
        caused_by=lease.version,
    )


def count_attempts(
    reservation: Reservation, now: datetime, deadline: datetime, latest: datetime | None = None
) -> Attempts:
    """Return the attempts at the newest delivery. `deadline`, `latest`: as of `Attempts`; `now`, if none is needed."""
    return Attempts(
        now=now,
        number=reservation.attempts,
        connection_failures=reservation.connection_failures + 1,
        deadline=deadline,
        latest=latest,
        spread_by=reservation.reservation_id,
    )


def _needs_case(reservation: Reservation, unknown: InviteOutcomeUnknown) -> bool:
    """Return whether staff must decide: the attempt is not retried, and its delivery was needed."""
    return unknown.retry_at is None and not reservation.needs_no_delivery
