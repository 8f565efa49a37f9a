"""Decide a case or an unknown outcome, as only staff may.

The system never refunds an unknown outcome (invariant 10).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.commands.access.end_on_refund import end_refunded_access
from domain.commands.campaign.campaign_limits import check_shared_use_left
from domain.commands.case_events import REMOVED_BY_HAND, RESOLVED_BY_RETRY, close_case, is_removal_case, open_case
from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp, id_of_text
from domain.commands.delivery.late_success import has_access_to_move, is_access_being_moved, is_bound_to_another
from domain.commands.reservation.settle_due import folded, settle_lapsed_lease
from domain.errors import AccessChoiceRequired, RefusalOrder, ReservationNotResolvable, ReservationUnknown
from domain.events.access import AccessRevoked
from domain.events.event import Event, RefundCause
from domain.events.reservation import BY_STAFF, CaseClosed, InviteSent, LateSuccessRecorded, UseRefunded
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet

Resolution = Literal["sent", "refunded", "retry"]


class ResolveReservation(Struct, frozen=True, kw_only=True):
    """Decide a case or an unknown outcome. `note` goes to the vault.

    `resolution`: count it as sent, refund it, or let the system retry (only a parked unknown outcome). `case_id` is new
    and random: an outcome that is not parked yet becomes a case that this closes. `revoke_access`: as for a refund.
    """

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, ReservationNotResolvable, AccessChoiceRequired)

    context: CommandContext
    reservation_id: UUID
    resolution: Resolution
    case_id: UUID
    note: TextDraft | None = None
    revoke_access: bool | None = None


class RefundAfterOutage(Struct, frozen=True, kw_only=True):
    """Refund one reservation of an outage.

    That is a parked unknown outcome or, with `include_sent`, a sent one that was not accepted.
    """

    context: CommandContext
    reservation_id: UUID
    include_sent: bool


def resolve_reservation(command: ResolveReservation, working_set: WorkingSet, policy: Policy) -> Decision:
    """Do what staff decided; nothing if this request did so before its answer was lost.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotResolvable: `why` is leased (being sent right now), no_case (no outcome is unknown), no_retry (its
            outcome is known, or it is retried already), revoked (nothing is sent for a revoked code), no_free_use or
            bound (a refunded use can't be counted again), grant_ended (the access that a rebind would move is
            over), not_removed (the use is refunded already, and the access is still to be removed), moving or
            moved (what a rebind moves, or has moved, is not refunded, and no second rebind moves it).
        AccessChoiceRequired: As for a refund.
    """
    reservation = working_set.reservation(command.reservation_id)
    if reservation.was_handled_in_request(command.context.request_id, CaseClosed, UseRefunded, AccessRevoked):
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    if reservation.is_leased(stamp.now):
        raise ReservationNotResolvable("leased")
    lapse_events, code, reservation = settle_lapsed_lease(code, reservation, stamp, command.case_id, policy)
    return _resolve_after(command, code, reservation, working_set, stamp, policy, lapse_events)


def _resolve_after(
    command: ResolveReservation,
    code: RedeemCode,
    reservation: Reservation,
    working_set: WorkingSet,
    stamp: EventStamp,
    policy: Policy,
    events: Sequence[Event],
) -> Decision:
    """Return the decision's events, after those that had to come first."""
    if reservation.case_id is None and not (reservation.is_live and reservation.ever_unknown):
        raise ReservationNotResolvable("no_case")
    if command.resolution == "retry" and not (reservation.case_id is not None and _may_be_retried(reservation)):
        raise ReservationNotResolvable("no_retry")
    if command.resolution == "retry" and reservation.is_live and code.is_revoked:
        raise ReservationNotResolvable("revoked")
    _check_access(command, reservation, working_set, stamp)
    if reservation.case_id is None:
        case_opened = open_case(reservation, stamp, command.case_id, "unknown_outcome", caused_by=reservation.moved_by)
        code, reservation = folded([case_opened], code, reservation)
        events = [*events, case_opened]
    return Decision(
        reservation.code_id,
        [*events, *_resolution_events(command, code, reservation, working_set, stamp, policy)],
        reservation.reservation_id,
        text=command.note,
        follow_up="send" if command.resolution == "retry" else None,
    )


def refund_after_outage(command: RefundAfterOutage, working_set: WorkingSet) -> Decision:
    """Refund the named reservation if it is unchanged since it was listed; otherwise do nothing.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    reservation = working_set.reservation(command.reservation_id)
    code = working_set.codes[reservation.code_id]
    is_parked = reservation.is_live and reservation.ever_unknown and reservation.case_id is not None
    is_unaccepted = reservation.status == "sent" and reservation.accepted_at is None and reservation.lease is None
    if working_set.moves(reservation) or not (is_parked or (is_unaccepted and command.include_sent)):
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    events = _refund_events(code, reservation, event_stamp(command.context, code), "outage", None)
    return Decision(reservation.code_id, events, reservation.reservation_id)


def _check_access(
    command: ResolveReservation, reservation: Reservation, working_set: WorkingSet, stamp: EventStamp
) -> None:
    """Raise if a rebind would be left with nothing to move."""
    is_over = command.resolution == "retry" and reservation.is_live and reservation.is_access_over(stamp.now)
    is_of_removal = is_removal_case(reservation)
    is_retaken = (
        command.resolution == "sent" and reservation.status == "refunded" and not (reservation.is_use or is_of_removal)
    )
    if is_over or (is_retaken and not has_access_to_move(reservation, working_set)):
        raise ReservationNotResolvable("grant_ended")
    if is_retaken and is_access_being_moved(reservation, working_set):
        raise ReservationNotResolvable("moving")
    if command.resolution == "refunded" and is_of_removal and not reservation.occupies_use:
        raise ReservationNotResolvable("not_removed")
    if command.resolution == "refunded" and working_set.moves(reservation):
        raise ReservationNotResolvable("moving" if working_set.is_being_moved(reservation) else "moved")


def _may_be_retried(reservation: Reservation) -> bool:
    """Return whether the system has something to continue: an unknown outcome, or an access to remove."""
    return reservation.is_live or is_removal_case(reservation)


def _resolution_events(
    command: ResolveReservation,
    code: RedeemCode,
    reservation: Reservation,
    working_set: WorkingSet,
    stamp: EventStamp,
    policy: Policy,
) -> Sequence[Event]:
    match command.resolution:
        case "sent":
            return _sent_events(code, reservation, working_set, stamp, command.note)
        case "refunded":
            return _refund_events(code, reservation, stamp, "resolved", command.note, choice=command.revoke_access)
        case "retry":
            return _retry_events(reservation, stamp, command.note, policy)


def _sent_events(
    code: RedeemCode, reservation: Reservation, working_set: WorkingSet, stamp: EventStamp, note: TextDraft | None
) -> Sequence[Event]:
    """Count the use by decision of staff.

    A use that counts stays as it is, and so does an access that ended and was removed.
    """
    if is_removal_case(reservation):
        return close_case(reservation, stamp, REMOVED_BY_HAND, caused_by=reservation.moved_by, note=note)
    if reservation.status == "sent":
        return close_case(reservation, stamp, "resolved_sent", caused_by=reservation.moved_by, note=note)
    about: dict[str, Any] = {
        **stamp.for_reservation(reservation),
        "delivery": reservation.delivery,
        "attempt": reservation.last_attempt,
        "kind": reservation.kind,
        "server": BY_STAFF,
        "caused_by": reservation.moved_by,
    }
    closed = close_case(reservation, stamp, "resolved_sent", caused_by=code.version + 1, note=note)
    if reservation.is_live:
        return [InviteSent(**about), *closed]
    if is_bound_to_another(code, reservation):
        raise ReservationNotResolvable("bound")
    if reservation.is_use and code.available is not None and code.available < 1:
        raise ReservationNotResolvable("no_free_use")
    if reservation.is_use:
        check_shared_use_left(code, working_set, reservation, stamp.now)
    retaken = LateSuccessRecorded(**about, recipient_id=reservation.recipient_id, effect="retaken")
    return [retaken, *closed]


def _refund_events(
    code: RedeemCode,
    reservation: Reservation,
    stamp: EventStamp,
    cause: RefundCause,
    note: TextDraft | None,
    *,
    choice: bool | None = None,
) -> Sequence[Event]:
    """Refund the use once; if it was refunded before, only its case ends. Its access has no use any more."""
    if not reservation.occupies_use:
        closed = close_case(reservation, stamp, "resolved_refunded", caused_by=reservation.moved_by, note=note)
        return [*closed, *end_refunded_access(reservation, stamp, choice=choice, caused_by=code.version + 1)]
    refund = UseRefunded(
        **stamp.for_reservation(reservation),
        cause=cause,
        held="reserved" if reservation.is_live else "used",
        kind=reservation.kind,
        text_id=id_of_text(note),
        caused_by=reservation.moved_by,
    )
    closed = close_case(reservation, stamp, "resolved_refunded", caused_by=code.version + 1)
    return [refund, *closed, *end_refunded_access(reservation, stamp, choice=choice, caused_by=code.version + 1)]


def _retry_events(
    reservation: Reservation, stamp: EventStamp, note: TextDraft | None, policy: Policy
) -> Sequence[Event]:
    """Continue with a new deadline and all attempts, and the same email.

    A rebind's deadline is not after the end of the access.
    """
    deadline = stamp.now + timedelta(seconds=policy.reservation_ttl_s)
    if reservation.access_ends_at is not None:
        deadline = min(deadline, reservation.access_ends_at)
    closed = close_case(reservation, stamp, RESOLVED_BY_RETRY, caused_by=reservation.moved_by, note=note)
    return [replace(event, retry_at=stamp.now, deadline=deadline) for event in closed]
