"""Accepting an invitation by its link. It proves that the letter arrived, whatever the attempts made of it."""

from uuid import UUID

from msgspec import Struct

from domain.book import Book
from domain.decisions.command import Context, Decision, stamp
from domain.errors import LinkNotValid, ReservationUnknown
from domain.events import CaseClosed, Event, InviteAccepted, InviteSent

LINK = "link"
"""What stands for the server in an InviteSent that only the opened link proves."""


class AcceptInvite(Struct, frozen=True, kw_only=True):
    """The link of a delivery was opened; its token was checked outside."""

    context: Context
    reservation_id: UUID
    delivery: int


def accept(command: AcceptInvite, book: Book) -> Decision:
    """Record the acceptance once; an attempt in doubt is first settled as sent.

    Raises:
        ReservationUnknown: There is no such reservation.
        LinkNotValid: The use was given back meanwhile, or nothing was ever sent.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    if item.status == "refunded" or item.last_attempt == 0:
        raise LinkNotValid
    if item.accepted_at is not None:
        return Decision(item.code_id, (), item.reservation_id)
    code = book.codes[item.code_id]
    now = stamp(command.context, code)
    about = {**now.fields, "reservation_id": item.reservation_id}
    events: list[Event] = []
    if item.is_live:
        events.append(
            InviteSent(
                **about,
                delivery=item.delivery,
                attempt=item.last_attempt,
                kind=item.kind,
                server=LINK,
                caused_by=item.versions[-1],
            )
        )
        if item.case_id is not None:
            events.append(CaseClosed(**about, case_id=item.case_id, how="proved_sent"))
    cause = code.version + len(events) if events else item.versions[-1]
    events.append(InviteAccepted(**about, delivery=command.delivery, via=LINK, caused_by=cause))
    return Decision(item.code_id, events, item.reservation_id)
