"""What a success means, whenever it becomes known (rule 6).

Success of any attempt is evidence: a machine can be late, but what it saw happened. It counts a use at most once
per delivery, and never one that is not there: then a person has to decide.
"""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from domain.commands.case_events import CaseCause, close_case, open_case
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


def success_events(
    code: RedeemCode,
    reservation: Reservation,
    working_set: WorkingSet,
    stamp: EventStamp,
    proof: DeliveryProof,
    case_id: UUID,
) -> Sequence[Event]:
    """The events of a success; none if this very attempt's is in the log already.

    Args:
        code: The reservation's code.
        reservation: The reservation, in whatever state.
        working_set: Where the person's other reservations on the code are, if the use was given back.
        stamp: The moment, and the fields that all events share.
        proof: What is known.
        case_id: New and random; used if a person has to decide.
    """
    if proof.attempt in reservation.proved_attempts:
        return ()
    if _came_after_access_ended(reservation, proof):
        return (_late_success_event(reservation, stamp, proof, "ended"),)
    if proof.delivery in reservation.proved_deliveries:
        return (_late_success_event(reservation, stamp, proof, "duplicate"),)
    if reservation.occupies_use:
        return _add_bounce_case(code, reservation, stamp, proof, case_id, _sent_events(reservation, stamp, proof))
    obstacle = find_retake_obstacle(code, reservation, working_set)
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
    """Whether it takes nothing since the access has ended: its channel is told of the end, again if it was before.

    Nothing is left for staff to decide then: the use was refunded, or counts already.
    """
    has_ended = reservation.access is not None and reservation.access.ending is not None
    is_settled = not reservation.occupies_use or proof.delivery in reservation.proved_deliveries
    return has_ended and is_settled and not (reservation.occupies_use and reservation.is_by_email_only)


def find_retake_obstacle(code: RedeemCode, reservation: Reservation, working_set: WorkingSet) -> CaseCause | None:
    """Why a machine may not count a refunded use again: the cause of the case; None if it may."""
    if reservation.refund_cause == "corrected":
        return "corrected_meanwhile"
    if is_bound_to_another(code, reservation):
        return "bound_to_another"
    others = [
        other
        for other in working_set.reservations_of(code.code_id, reservation.recipient_id)
        if other.kind == reservation.kind
    ]
    if any(_takes_precedence(other, reservation) for other in others):
        return "newer_reservation"
    if not reservation.is_use:
        return None if has_access_to_move(reservation, working_set) else "grant_ended"
    if code.available is not None and code.available < 1:
        return "no_free_use"
    return None


def _takes_precedence(other: Reservation, reservation: Reservation) -> bool:
    """Whether it stands in the place: asked for later, or after the same one, which only one may follow (rule 8)."""
    follows_same = reservation.is_use and reservation.follows is not None and other.follows == reservation.follows
    return other.occupies_use and (follows_same or other.versions[0] > reservation.versions[0])


def has_access_to_move(reservation: Reservation, working_set: WorkingSet) -> bool:
    """Whether the access that a rebind would move still stands where it was."""
    former_reservation = None if reservation.follows is None else working_set.reservations.get(reservation.follows)
    return former_reservation is not None and former_reservation.has_active_access


def is_bound_to_another(code: RedeemCode, reservation: Reservation) -> bool:
    """Whether the code belongs to somebody else by now."""
    return code.is_bound_to_another(reservation.recipient_id)


def _sent_events(reservation: Reservation, stamp: EventStamp, proof: DeliveryProof) -> Sequence[Event]:
    sent = InviteSent(
        **stamp.for_reservation(reservation),
        delivery=proof.delivery,
        attempt=proof.attempt,
        kind=reservation.kind,
        server=proof.server,
        reply_code=proof.reply_code,
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
    events: Sequence[Event],
) -> Sequence[Event]:
    """A letter may come back before its own success is known: then the use that this counts is in doubt at once."""
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
        caused_by=reservation.moved_by,
    )
