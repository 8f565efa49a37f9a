"""Reveal the link of an invitation to staff, who hand it over by phone or chat when the email does not get through."""

from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.commands.context import CommandContext, Decision, event_stamp, id_of_text
from domain.commands.delivery.accept_invite import find_link_refusal
from domain.errors import LinkNotRevealable, RefusalOrder, ReservationUnknown
from domain.events.reservation import InviteLinkRevealed
from domain.model.reservation import Reservation
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class RevealLink(Struct, frozen=True, kw_only=True):
    """Reveal the link of the newest delivery. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, LinkNotRevealable)

    context: CommandContext
    reservation_id: UUID
    note: TextDraft | None = None


def reveal_link(command: RevealLink, working_set: WorkingSet) -> Decision:
    """Record that the link is revealed, once for each request. Whether it arrived shows when it is accepted.

    Raises:
        ReservationUnknown: There is no such reservation.
        LinkNotRevealable: `why` is refunded (also by a correction), accepted, not_sent or ended (the access is over).
    """
    reservation = working_set.reservation(command.reservation_id)
    if (why := find_reveal_obstacle(reservation)) is not None:
        raise LinkNotRevealable(why)
    if reservation.was_handled_in_request(command.context.request_id, InviteLinkRevealed):
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    event = InviteLinkRevealed(
        **event_stamp(command.context, working_set.codes[reservation.code_id]).for_reservation(reservation),
        delivery=reservation.delivery,
        text_id=id_of_text(command.note),
        caused_by=reservation.moved_by,
    )
    return Decision(reservation.code_id, [event], reservation.reservation_id, text=command.note)


def find_reveal_obstacle(reservation: Reservation) -> str | None:
    """Return why the link is of no use to the recipient, as a reason of `LinkNotRevealable`; None if it is."""
    if not reservation.occupies_use:
        return "refunded"
    if reservation.accepted_at is not None:
        return "accepted"
    if reservation.last_attempt == 0:
        return "not_sent"
    return None if find_link_refusal(reservation, reservation.delivery) is None else "ended"
