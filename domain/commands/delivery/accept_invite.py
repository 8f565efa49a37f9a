"""Accept an invitation, by its link or as its channel reports. An acceptance proves that the invitation arrived."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from msgspec import Struct

from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.delivery.late_success import DeliveryProof, success_events
from domain.commands.input_bounds import reported_fields
from domain.commands.reservation.settle_due import folded
from domain.errors import GrantExpired, LinkNotValid, OutOfBounds, Refusal, RefusalOrder, ReservationUnknown
from domain.events.reservation import LINK, InviteAccepted, ReservationEvent
from domain.model.reservation import Reservation
from domain.working_set import WorkingSet

Via = Literal["link", "callback"]


class AcceptInvite(Struct, frozen=True, kw_only=True):
    """A delivery was accepted: its link was opened, or an external system reports it. The caller has checked both.

    `case_id` is used only if a case is opened; `via` says how it became known; `occurred_at` is when it happened, if
    that was before the report.
    """

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, LinkNotValid, GrantExpired, OutOfBounds)

    context: CommandContext
    reservation_id: UUID
    delivery: int
    case_id: UUID
    via: Via = LINK
    occurred_at: datetime | None = None


def accept_invite(command: AcceptInvite, working_set: WorkingSet) -> Decision:
    """Record the acceptance once. It settles an unknown outcome as sent, and counts a refunded use again if possible.

    Raises:
        ReservationUnknown: There is no such reservation.
        LinkNotValid: The use was refunded and does not count, nothing was ever sent, or a rebind has the access now.
        GrantExpired: The time of the access is over.
        OutOfBounds: `occurred_at` is earlier than the reservation, or ahead of now.
    """
    reservation = working_set.reservation(command.reservation_id)
    if (refusal := find_link_refusal(reservation, command.delivery)) is not None:
        raise refusal
    if reservation.accepted_at is not None and reservation.occupies_use:
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    events: Sequence[ReservationEvent] = ()
    if reservation.status != "sent" or _proves_resend(reservation, command.delivery):
        proof = DeliveryProof(
            delivery=command.delivery, attempt=reservation.last_attempt, server=command.via, arrived=True
        )
        events = success_events(code, reservation, working_set, stamp, proof, command.case_id)
    _, reservation = folded(events, code, reservation)
    if not reservation.occupies_use:
        return Decision(reservation.code_id, events, refusal=LinkNotValid())
    fields = reported_fields(stamp, reservation, command.occurred_at)
    accepted = InviteAccepted(
        **fields,
        reservation_id=reservation.reservation_id,
        delivery=command.delivery,
        via=command.via,
        caused_by=reservation.moved_by,
    )
    return Decision(reservation.code_id, [*events, accepted], reservation.reservation_id)


def find_link_refusal(reservation: Reservation, delivery: int) -> Refusal | None:
    """Return why a delivery's link can't be accepted, as far as its reservation shows; None if it may be possible.

    Whether a refunded use is counted again is decided only when the link is accepted.
    """
    is_refunded = not reservation.occupies_use
    if (
        reservation.last_attempt == 0
        or delivery > reservation.delivery
        or (is_refunded and delivery in reservation.proved_deliveries)
    ):
        return LinkNotValid()
    if reservation.access is not None and reservation.access.ending is not None and not is_refunded:
        return GrantExpired() if reservation.access.ending == "expired" else LinkNotValid()
    return None


def _proves_resend(reservation: Reservation, delivery: int) -> bool:
    """Return whether the link proves that a resend arrived whose sending was not known."""
    return delivery == reservation.delivery and reservation.resending and reservation.attempts > 0
