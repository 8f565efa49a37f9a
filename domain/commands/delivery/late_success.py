"""What a success means, whenever it becomes known (rule 6).

Success of any attempt is evidence: a machine can be late, but what it saw happened. It counts a use at most once
per delivery, and never one that is not there: then a person has to decide.
"""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from domain.commands import case_events
from domain.commands.context import EventStamp
from domain.events import CaseClosed, Event, InviteSent, LateEffect, LateSuccessRecorded
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.working_set import WorkingSet


class DeliveryProof(Struct, frozen=True, kw_only=True):
    """What shows that a delivery was sent.

    Attributes:
        server: The mail server that took it, or what stands for one.
        attempt: The attempt that it proves, as far as that is known; counted from 1.
        arrived: It shows besides that somebody has the invitation: whatever came back did not hinder that.
    """

    delivery: int
    attempt: int
    server: str
    reply_code: int | None = None
    arrived: bool = False


def success(
    code: RedeemCode, item: Reservation, book: WorkingSet, now: EventStamp, proof: DeliveryProof, case_id: UUID
) -> Sequence[Event]:
    """The events of a success; none if this very attempt's is in the log already.

    Args:
        code: The reservation's code.
        item: The reservation, in whatever state.
        book: Where the person's other reservations on the code are, if the use was given back.
        now: The moment, and the fields that all events share.
        proof: What is known.
        case_id: New and random; used if a person has to decide.
    """
    if proof.attempt in item.proved_attempts:
        return ()
    if _came_after_the_end(item, proof):
        return (_late(item, now, proof, "ended"),)
    if proof.delivery in item.proved_deliveries:
        return (_late(item, now, proof, "duplicate"),)
    if item.occupies_use:
        return _add_bounce_case(code, item, now, proof, case_id, _in_time(item, now, proof))
    hindrance = retake_obstacle(code, item, book)
    if hindrance is None:
        return _add_bounce_case(code, item, now, proof, case_id, (_late(item, now, proof, "retaken"),))
    late = _late(item, now, proof, "not_retaken")
    if item.case_id is not None:
        return (late,)
    case = case_events.opened(item, now, case_id, hindrance, caused_by=code.version + 1, delivery=proof.delivery)
    return (late, case)


def _came_after_the_end(item: Reservation, proof: DeliveryProof) -> bool:
    """Whether it takes nothing since the access has ended: its channel is told of the end, again if it was before.

    Nothing is left for staff to decide then: the use was refunded, or counts already.
    """
    has_ended = item.access is not None and item.access.ending is not None
    is_settled = not item.occupies_use or proof.delivery in item.proved_deliveries
    return has_ended and is_settled and not (item.occupies_use and item.is_by_letters)


def retake_obstacle(code: RedeemCode, item: Reservation, book: WorkingSet) -> case_events.CaseCause | None:
    """Why a machine may not count a refunded use again: the cause of the case; None if it may."""
    if item.refund_cause == "corrected":
        return "corrected_meanwhile"
    if is_bound_to_another(code, item):
        return "bound_to_another"
    others = [other for other in book.of_recipient(code.code_id, item.recipient_id) if other.kind == item.kind]
    if any(_takes_precedence(other, item) for other in others):
        return "newer_reservation"
    if not item.is_use:
        return None if has_access_to_move(item, book) else "grant_ended"
    if code.available is not None and code.available < 1:
        return "no_free_use"
    return None


def _takes_precedence(other: Reservation, item: Reservation) -> bool:
    """Whether it stands in the place: asked for later, or after the same one, which only one may follow (rule 8)."""
    is_beside = item.is_use and item.follows is not None and other.follows == item.follows
    return other.occupies_use and (is_beside or other.versions[0] > item.versions[0])


def has_access_to_move(item: Reservation, book: WorkingSet) -> bool:
    """Whether the access that a rebind would move still stands where it was."""
    former = None if item.follows is None else book.reservations.get(item.follows)
    return former is not None and former.has_active_access


def is_bound_to_another(code: RedeemCode, item: Reservation) -> bool:
    """Whether the code belongs to somebody else by now."""
    return code.is_bound_to_another(item.recipient_id)


def _in_time(item: Reservation, now: EventStamp, proof: DeliveryProof) -> Sequence[Event]:
    sent = InviteSent(
        **now.fields,
        reservation_id=item.reservation_id,
        delivery=proof.delivery,
        attempt=proof.attempt,
        kind=item.kind,
        server=proof.server,
        reply_code=proof.reply_code,
        caused_by=item.moved_by,
    )
    if proof.delivery != item.delivery:
        return (sent,)
    return (sent, *case_events.closed(item, now, "proved_sent"))


def _add_bounce_case(
    code: RedeemCode, item: Reservation, now: EventStamp, proof: DeliveryProof, case_id: UUID, events: Sequence[Event]
) -> Sequence[Event]:
    """A letter may come back before its own success is known: then the use that this counts is in doubt at once."""
    came_back = proof.delivery == item.delivery and proof.delivery in item.bounced_deliveries
    stays_open = item.case_id is not None and not any(isinstance(event, CaseClosed) for event in events)
    if not came_back or stays_open or proof.arrived or item.accepted_at is not None:
        return events
    return (*events, case_events.opened(item, now, case_id, "bounced", caused_by=code.version + 1))


def _late(item: Reservation, now: EventStamp, proof: DeliveryProof, effect: LateEffect) -> LateSuccessRecorded:
    return LateSuccessRecorded(
        **now.fields,
        reservation_id=item.reservation_id,
        recipient_id=item.recipient_id,
        delivery=proof.delivery,
        attempt=proof.attempt,
        kind=item.kind,
        server=proof.server,
        effect=effect,
        reply_code=proof.reply_code,
        caused_by=item.moved_by,
    )
