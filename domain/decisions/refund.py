"""Giving a use back by a person's word. A refund names one reservation that is held or counted."""

from typing import Literal
from uuid import UUID

from msgspec import Struct

from domain.book import Book
from domain.decisions import cases
from domain.decisions.command import Context, Decision, stamp
from domain.errors import AccessChoiceRequired, ReservationNotRefundable, ReservationUnknown
from domain.events import AccessRevoked, UseRefunded
from domain.ports import TextDraft
from domain.reservation import Reservation


class RefundReservation(Struct, frozen=True, kw_only=True):
    """Give back one use.

    `note` goes to the vault. `only_held` leaves counted uses alone. `revoke_access` says whether what a sent invitation
    gave is taken away too; None, which means no, is refused where the invitation was accepted.
    """

    context: Context
    reservation_id: UUID
    cause: Literal["staff", "cancelled", "reset", "forgotten"]
    note: TextDraft | None = None
    only_held: bool = False
    revoke_access: bool | None = None


def refund(command: RefundReservation, book: Book) -> Decision:
    """Refund a live reservation that is never unknown, or a sent one, whose case is closed with it; no leased one.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotRefundable: `why` is refunded, leased, unknown, moving (a rebind of it is under way: that comes
            first), moved (a later reservation has the access that is to be taken away) or sent.
        AccessChoiceRequired: The invitation was accepted, its access stands, and `revoke_access` is None.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    code = book.codes[item.code_id]
    if item.status == "refunded":
        if item.refund_request_id is not None and item.refund_request_id == command.context.request_id:
            return Decision(code.code_id, (), item.reservation_id)
        raise ReservationNotRefundable("refunded")
    is_doubtful = item.is_live and (item.ever_unknown or item.lease is not None)
    if item.is_leased(stamp(command.context, code).at) or (item.lease is not None and not is_doubtful):
        raise ReservationNotRefundable("leased")
    if is_doubtful:  # a lease that is over is a doubt too, whether a sweep has seen it or not
        raise ReservationNotRefundable("unknown")
    if is_being_moved(item, book):
        raise ReservationNotRefundable("moving")
    if command.revoke_access and any(other.status == "sent" for other in book.moves(item)):
        raise ReservationNotRefundable("moved")
    if command.only_held and not item.is_live:
        raise ReservationNotRefundable("sent")
    is_access_revoked = takes_access(item, choice=command.revoke_access)
    now = stamp(command.context, code)
    event = UseRefunded(
        **now.fields,
        reservation_id=item.reservation_id,
        cause=command.cause,
        held="reserved" if item.is_live else "used",
        kind=item.kind,
        text_id=command.note.text_id if command.note else None,
        caused_by=item.moved_by,
    )
    closed = cases.closed(item, now, "resolved_refunded", caused_by=code.version + 1)
    if not is_access_revoked:
        return Decision(code.code_id, [event, *closed], item.reservation_id)
    access = AccessRevoked(**now.fields, reservation_id=item.reservation_id, caused_by=code.version + 1)
    return Decision(code.code_id, [event, *closed, access], item.reservation_id)


def takes_access(item: Reservation, *, choice: bool | None) -> bool:
    """Whether a refund takes the access away with the use.

    Args:
        item: What is refunded.
        choice: Whether the access is revoked, as the person who refunds it decided; None if they did not say.

    Raises:
        AccessChoiceRequired: They did not say, and the invitation was accepted and its access stands.
    """
    if choice is None and item.accepted_at is not None and item.access_stands:
        raise AccessChoiceRequired
    return bool(choice) and item.access_stands


def is_being_moved(item: Reservation, book: Book) -> bool:
    """Whether a rebind of its access is under way: it would be left with nothing to move."""
    return any(other.is_live for other in book.moves(item))
