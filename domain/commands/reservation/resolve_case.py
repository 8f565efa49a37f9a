"""What only a person may decide: a case, or an attempt in doubt. No machine gives an unknown back (invariant 10)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.commands import case_events
from domain.commands.access import end_on_refund
from domain.commands.context import Context, Decision, EventStamp, stamp
from domain.commands.delivery.late_success import has_access_to_move, is_bound_to_another
from domain.commands.reservation.refund import is_being_moved
from domain.commands.reservation.settle_due import after_lapse, folded
from domain.errors import ReservationNotResolvable, ReservationUnknown
from domain.events import CaseClosed, Event, InviteSent, LateSuccessRecorded, RefundCause, UseRefunded
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet

Resolution = Literal["sent", "refunded", "retry"]

BY_STAFF = "staff"
"""What stands for the server where a person's word is the proof."""


class ResolveReservation(Struct, frozen=True, kw_only=True):
    """Decide a case or an attempt in doubt. `note` goes to the vault.

    `resolution`: it was sent (count it); give it back; or let the machines try on (only what is parked in doubt).
    `case_id` is new and random: what is not parked yet becomes a case that this closes. `revoke_access`: of what is
    given back, as for a refund.
    """

    context: Context
    reservation_id: UUID
    resolution: Resolution
    case_id: UUID
    note: TextDraft | None = None
    revoke_access: bool | None = None


class RefundAfterOutage(Struct, frozen=True, kw_only=True):
    """Give one reservation of an outage back: a parked unknown, or with `include_sent` a sent one nobody accepted."""

    context: Context
    reservation_id: UUID
    include_sent: bool


def resolve(command: ResolveReservation, book: WorkingSet, policy: Policy) -> Decision:
    """Do what the person decided; nothing if this very request did so before its answer was lost.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotResolvable: `why` is leased (being sent right now), no_case (nothing is in doubt), no_retry (it
            is not in doubt, or is being tried already), revoked (nothing is sent for a revoked code), no_free_use or
            bound (a use given back can't be counted again), grant_ended (the access that a rebind would move is
            over), not_removed (the use is given back already, and the access is still to be taken away), moving or
            moved (what a rebind moves, or has moved, is not given back).
        AccessChoiceRequired: As for a refund.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    if item.was_handled_in_request(command.context.request_id, CaseClosed, UseRefunded):
        return Decision(item.code_id, (), item.reservation_id)
    code = book.codes[item.code_id]
    now = stamp(command.context, code)
    if item.is_leased(now.at):
        raise ReservationNotResolvable("leased")
    lapsed, code, item = after_lapse(code, item, now, command.case_id, policy)
    return _resolved(command, code, item, book, now, policy, lapsed)


def _resolved(
    command: ResolveReservation,
    code: RedeemCode,
    item: Reservation,
    book: WorkingSet,
    now: EventStamp,
    policy: Policy,
    events: Sequence[Event],
) -> Decision:
    """What the person decided, after the events that came first."""
    if item.case_id is None and not (item.is_live and item.ever_unknown):
        raise ReservationNotResolvable("no_case")
    if command.resolution == "retry" and not (item.case_id is not None and _may_be_tried_on(item)):
        raise ReservationNotResolvable("no_retry")
    if command.resolution == "retry" and item.is_live and code.is_revoked:
        raise ReservationNotResolvable("revoked")
    _check_access(command, item, book, now)
    if item.case_id is None:
        opened = case_events.opened(item, now, command.case_id, "unknown_outcome", caused_by=item.moved_by)
        code, item = folded([opened], code, item)
        events = [*events, opened]
    return Decision(item.code_id, [*events, *_decided(command, code, item, now, policy)], item.reservation_id)


def refund_after_outage(command: RefundAfterOutage, book: WorkingSet) -> Decision:
    """Refund what the command names if it is still what it was when it was listed; else do nothing.

    Raises:
        ReservationUnknown: There is no such reservation.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    code = book.codes[item.code_id]
    parked = item.is_live and item.ever_unknown and item.case_id is not None
    unaccepted = item.status == "sent" and item.accepted_at is None and item.lease is None
    if book.moves(item) or not (parked or (unaccepted and command.include_sent)):
        return Decision(item.code_id, (), item.reservation_id)
    events = _given_back(code, item, stamp(command.context, code), "outage", None)
    return Decision(item.code_id, events, item.reservation_id)


def _check_access(command: ResolveReservation, item: Reservation, book: WorkingSet, now: EventStamp) -> None:
    """Raise where a rebind would be left with nothing to move."""
    is_over = command.resolution == "retry" and item.is_live and item.is_access_over(now.at)
    is_of_removal = case_events.is_of_removal(item)
    is_retaken = command.resolution == "sent" and item.status == "refunded" and not (item.is_use or is_of_removal)
    if is_over or (is_retaken and not has_access_to_move(item, book)):
        raise ReservationNotResolvable("grant_ended")
    if command.resolution == "refunded" and is_of_removal and not item.occupies_use:
        raise ReservationNotResolvable("not_removed")
    if command.resolution == "refunded" and book.moves(item):
        raise ReservationNotResolvable("moving" if is_being_moved(item, book) else "moved")


def _may_be_tried_on(item: Reservation) -> bool:
    """Whether machines have something to go on with: an invitation in doubt, or an access to take away."""
    return item.is_live or case_events.is_of_removal(item)


def _decided(
    command: ResolveReservation, code: RedeemCode, item: Reservation, now: EventStamp, policy: Policy
) -> Sequence[Event]:
    match command.resolution:
        case "sent":
            return _sent_events(code, item, now, command.note)
        case "refunded":
            return _given_back(code, item, now, "resolved", command.note, choice=command.revoke_access)
        case "retry":
            return _tried_on(item, now, command.note, policy)
        case _:
            assert_never(command.resolution)


def _sent_events(code: RedeemCode, item: Reservation, now: EventStamp, note: TextDraft | None) -> Sequence[Event]:
    """Counted, by the person's word; what counts already stays as it is, and so does what ended and was taken away."""
    if case_events.is_of_removal(item):
        return case_events.closed(item, now, case_events.REMOVED_BY_HAND, caused_by=item.moved_by, note=note)
    if item.status == "sent":
        return case_events.closed(item, now, "resolved_sent", caused_by=item.moved_by, note=note)
    about: dict[str, Any] = {
        **now.fields,
        "reservation_id": item.reservation_id,
        "delivery": item.delivery,
        "attempt": item.last_attempt,
        "kind": item.kind,
        "server": BY_STAFF,
        "caused_by": item.moved_by,
    }
    closed = case_events.closed(item, now, "resolved_sent", caused_by=code.version + 1, note=note)
    if item.is_live:
        return [InviteSent(**about), *closed]
    if is_bound_to_another(code, item):
        raise ReservationNotResolvable("bound")
    if item.is_use and code.available is not None and code.available < 1:
        raise ReservationNotResolvable("no_free_use")
    retaken = LateSuccessRecorded(**about, recipient_id=item.recipient_id, effect="retaken")
    return [retaken, *closed]


def _given_back(
    code: RedeemCode,
    item: Reservation,
    now: EventStamp,
    cause: RefundCause,
    note: TextDraft | None,
    *,
    choice: bool | None = None,
) -> Sequence[Event]:
    """Refunded once; what was refunded before stays so, and only its case ends. No use stands for its access then."""
    if not item.occupies_use:
        closed = case_events.closed(item, now, "resolved_refunded", caused_by=item.moved_by, note=note)
        return [*closed, *end_on_refund.withdrawn(item, now, choice=choice, caused_by=code.version + 1)]
    refund = UseRefunded(
        **now.fields,
        reservation_id=item.reservation_id,
        cause=cause,
        held="reserved" if item.is_live else "used",
        kind=item.kind,
        text_id=note.text_id if note else None,
        caused_by=item.moved_by,
    )
    closed = case_events.closed(item, now, "resolved_refunded", caused_by=code.version + 1)
    return [refund, *closed, *end_on_refund.withdrawn(item, now, choice=choice, caused_by=code.version + 1)]


def _tried_on(item: Reservation, now: EventStamp, note: TextDraft | None, policy: Policy) -> Sequence[Event]:
    """A new deadline and all attempts again, with the same letter; a rebind's ends with the access."""
    deadline = now.at + timedelta(seconds=policy.reservation_ttl_s)
    if item.access_ends_at is not None:
        deadline = min(deadline, item.access_ends_at)
    closed = case_events.closed(item, now, case_events.RESOLVED_BY_RETRY, caused_by=item.moved_by, note=note)
    return [replace(event, retry_at=now.at, deadline=deadline) for event in closed]
