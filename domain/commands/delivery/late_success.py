"""Decide what a success means, whenever it becomes known (rule 6).

A success of any attempt is evidence, even if it becomes known late. It counts a use at most once per delivery, and
never a use that is not available: then a case is opened.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.commands.campaign.campaign_limits import has_shared_use_left
from domain.commands.case_events import CaseCause, close_case, open_case
from domain.commands.context import EventStamp
from domain.events.event import LateEffect
from domain.events.reservation import CaseClosed, InviteSent, LateSuccessRecorded, ReservationEvent
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.working_set import WorkingSet, is_active_rebind


class DeliveryProof(Struct, frozen=True, kw_only=True):
    """What shows that a delivery was sent.

    Attributes:
        server: The mail server that accepted it, or what stands for one.
        attempt: The attempt that it proves, as far as that is known; counted from 1.
        ms_ago: As in the event.
        arrived: Whether it also proves that the recipient has the invitation, even if a copy of it bounced.
    """

    delivery: int
    attempt: int
    server: str
    reply_code: int | None = None
    ms_ago: tuple[int, ...] = ()
    arrived: bool = False


def success_events(
    code: RedeemCode,
    reservation: Reservation,
    working_set: WorkingSet,
    stamp: EventStamp,
    proof: DeliveryProof,
    case_id: UUID,
) -> Sequence[ReservationEvent]:
    """Return the events of a success; none if the success of this attempt is in the log already.

    Args:
        code: The reservation's code.
        reservation: The reservation, in whatever state.
        working_set: Where the person's other reservations on the code are, if the use was refunded.
        stamp: The timestamp, and the fields that all events share.
        proof: What is known.
        case_id: New and random; used if a case is opened.
    """
    if proof.attempt in reservation.proved_attempts:
        return ()
    if _came_after_access_ended(reservation, proof):
        return (_late_success_event(reservation, stamp, proof, "ended"),)
    if proof.delivery in reservation.proved_deliveries:
        return (_late_success_event(reservation, stamp, proof, "duplicate"),)
    if reservation.occupies_use:
        return _add_bounce_case(code, reservation, stamp, proof, case_id, _sent_events(reservation, stamp, proof))
    obstacle = find_retake_obstacle(code, reservation, working_set, stamp.now)
    if obstacle is None:
        return _add_bounce_case(
            code, reservation, stamp, proof, case_id, (_late_success_event(reservation, stamp, proof, "retaken"),)
        )
    late = _late_success_event(reservation, stamp, proof, "not_retaken")
    if reservation.case_id is not None:
        return (late,)
    case = open_case(reservation, stamp, case_id, obstacle, caused_by=code.version + 1, delivery=proof.delivery)
    return (late, case)


def _came_after_access_ended(reservation: Reservation, proof: DeliveryProof) -> bool:
    """Return whether the access has ended already, so the success counts no use.

    Its channel is then notified of the end again.

    Staff have nothing left to decide: the use was refunded, or counts already.
    """
    has_ended = reservation.access is not None and reservation.access.ending is not None
    is_settled = not reservation.occupies_use or proof.delivery in reservation.proved_deliveries
    return has_ended and is_settled and not (reservation.occupies_use and reservation.is_by_email_only)


def find_retake_obstacle(
    code: RedeemCode, reservation: Reservation, working_set: WorkingSet, at: datetime
) -> CaseCause | None:
    """Return why a refunded use cannot be counted again automatically, as the cause of the case; None if it can."""
    if reservation.refund_cause == "corrected":
        return "corrected_meanwhile"
    if is_bound_to_another(code, reservation):
        return "bound_to_another"
    others = [other for other in working_set.newer_than(reservation) if other.kind == reservation.kind]
    if any(_takes_precedence(other, reservation) for other in others):
        return "newer_reservation"
    if not reservation.is_use:
        return None if has_access_to_move(reservation, working_set) else "grant_ended"
    if code.available is not None and code.available < 1:
        return "no_free_use"
    if not has_shared_use_left(code, reservation, working_set, at):
        return "no_free_use"
    return None


def _takes_precedence(other: Reservation, reservation: Reservation) -> bool:
    """Return whether `other` takes precedence: it is newer, or it follows the same reservation (rule 8).

    Only one reservation may follow another.
    """
    follows_same = reservation.is_use and reservation.follows is not None and other.follows == reservation.follows
    return other.occupies_use and (follows_same or other.versions[0] > reservation.versions[0])


def has_access_to_move(reservation: Reservation, working_set: WorkingSet) -> bool:
    """Return whether the access that a rebind would move is still active where it was."""
    former_reservation = working_set.followed_by(reservation)
    return former_reservation is not None and former_reservation.has_active_access


def is_access_being_moved(reservation: Reservation, working_set: WorkingSet) -> bool:
    """Return whether another rebind is moving the access that a refunded one would have moved."""
    return any(
        other.is_live and other.follows == reservation.follows and is_active_rebind(other)
        for other in working_set.newer_than(reservation)
    )


def is_bound_to_another(code: RedeemCode, reservation: Reservation) -> bool:
    """Return whether the code is bound to another recipient by now."""
    return code.is_bound_to_another(reservation.recipient_id)


def _sent_events(reservation: Reservation, stamp: EventStamp, proof: DeliveryProof) -> Sequence[ReservationEvent]:
    sent = InviteSent(
        **stamp.for_reservation(reservation),
        delivery=proof.delivery,
        attempt=proof.attempt,
        kind=reservation.kind,
        server=proof.server,
        reply_code=proof.reply_code,
        ms_ago=proof.ms_ago,
        caused_by=reservation.moved_by,
    )
    if proof.delivery != reservation.delivery:
        return (sent,)
    return (sent, *close_case(reservation, stamp, "proved_sent"))


def _add_bounce_case(
    code: RedeemCode,
    reservation: Reservation,
    stamp: EventStamp,
    proof: DeliveryProof,
    case_id: UUID,
    events: Sequence[ReservationEvent],
) -> Sequence[ReservationEvent]:
    """Add a case if the email had bounced before its success became known: then the counted use is uncertain."""
    has_bounced = proof.delivery == reservation.delivery and proof.delivery in reservation.bounced_deliveries
    stays_open = reservation.case_id is not None and not any(isinstance(event, CaseClosed) for event in events)
    if not has_bounced or stays_open or proof.arrived or reservation.accepted_at is not None:
        return events
    return (*events, open_case(reservation, stamp, case_id, "bounced", caused_by=code.version + 1))


def _late_success_event(
    reservation: Reservation, stamp: EventStamp, proof: DeliveryProof, effect: LateEffect
) -> LateSuccessRecorded:
    return LateSuccessRecorded(
        **stamp.for_reservation(reservation),
        recipient_id=reservation.recipient_id,
        delivery=proof.delivery,
        attempt=proof.attempt,
        kind=reservation.kind,
        server=proof.server,
        effect=effect,
        reply_code=proof.reply_code,
        ms_ago=proof.ms_ago,
        caused_by=reservation.moved_by,
    )
