"""Accepting an invitation, by its link or as its channel reports. It proves that it arrived."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from domain.commands.context import Context, Decision, stamp
from domain.commands.delivery.late_success import DeliveryProof, success
from domain.commands.input_bounds import reported_fields
from domain.errors import GrantExpired, LinkNotValid, Refusal, ReservationUnknown
from domain.events import Event, InviteAccepted, ReservationEvent
from domain.model import redeem_code, reservation
from domain.model.reservation import Reservation
from domain.working_set import WorkingSet

Via = Literal["link", "callback"]
LINK: Final = "link"
CALLBACK: Final = "callback"
"""What stands for the server in an event that only the opened link, or a channel's callback, proves."""


class AcceptInvite(Struct, frozen=True, kw_only=True):
    """A delivery was accepted: its link was opened, or the group's own system says so; both are checked outside.

    `case_id` is used only if a case is opened; `via` says how it became known; `occurred_at` is when it happened, where
    that was before we learned of it.
    """

    context: Context
    reservation_id: UUID
    delivery: int
    case_id: UUID
    via: Via = LINK
    occurred_at: datetime | None = None


def accept(command: AcceptInvite, book: WorkingSet) -> Decision:
    """Record the acceptance once; an attempt in doubt is first settled as sent, a refunded use retaken if it can be.

    Raises:
        ReservationUnknown: There is no such reservation.
        LinkNotValid: The use was given back and is not retaken, nothing was ever sent, or a rebind has the access now.
        GrantExpired: The time of the access is over.
        OutOfBounds: `occurred_at` is earlier than the reservation, or ahead of now.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    if (fault := fault_of_link(item, command.delivery)) is not None:
        raise fault
    if item.accepted_at is not None and item.occupies_use:
        return Decision(item.code_id, (), item.reservation_id)
    code = book.codes[item.code_id]
    now = stamp(command.context, code)
    events: list[Event] = []
    if item.status != "sent" or _proves_more(item, command.delivery):
        proof = DeliveryProof(delivery=command.delivery, attempt=item.last_attempt, server=command.via, arrived=True)
        events += success(code, item, book, now, proof, command.case_id)
    for event in events:
        code = redeem_code.evolve(code, code.version + 1, event)
        if isinstance(event, ReservationEvent):
            item = reservation.evolve(item, code.version, event)
    if not item.occupies_use:
        return Decision(item.code_id, events, item.reservation_id, LinkNotValid())
    fields = reported_fields(now, item, command.occurred_at)
    accepted = InviteAccepted(
        **fields,
        reservation_id=item.reservation_id,
        delivery=command.delivery,
        via=command.via,
        caused_by=item.moved_by,
    )
    return Decision(item.code_id, [*events, accepted], item.reservation_id)


def fault_of_link(item: Reservation, delivery: int) -> Refusal | None:
    """Return why a delivery's link can't be accepted, as far as its reservation shows; None if it may be possible.

    Whether a use that was given back is counted again is decided only when the link is accepted.
    """
    given_back = not item.occupies_use
    if item.last_attempt == 0 or delivery > item.delivery or (given_back and delivery in item.proved_deliveries):
        return LinkNotValid()
    if item.access is not None and item.access.ending is not None and not given_back:
        return GrantExpired() if item.access.ending == "expired" else LinkNotValid()
    return None


def _proves_more(item: Reservation, delivery: int) -> bool:
    """Whether the link shows that a further delivery arrived of which that was not known."""
    return delivery == item.delivery and item.resending and item.attempts > 0
