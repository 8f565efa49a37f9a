"""Giving a use back by a person's word. A refund names one reservation that is held or counted."""

from typing import Literal
from uuid import UUID

from msgspec import Struct

from domain.book import Book
from domain.decisions import cases
from domain.decisions.command import Context, Decision, stamp
from domain.errors import ReservationNotRefundable, ReservationUnknown
from domain.events import UseRefunded
from domain.ports import TextDraft


class RefundReservation(Struct, frozen=True, kw_only=True):
    """Give back one use. `note` goes to the vault. `only_held` leaves counted uses alone."""

    context: Context
    reservation_id: UUID
    cause: Literal["staff", "reset"]
    note: TextDraft | None = None
    only_held: bool = False


def refund(command: RefundReservation, book: Book) -> Decision:
    """Refund a live reservation that is neither leased nor ever unknown, or a sent one, whose case is closed with it.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotRefundable: `why` is refunded, leased, unknown or sent.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    code = book.codes[item.code_id]
    if item.status == "refunded":
        if item.refund_request_id is not None and item.refund_request_id == command.context.request_id:
            return Decision(code.code_id, (), item.reservation_id)
        raise ReservationNotRefundable("refunded")
    if item.is_live and item.lease is not None:
        raise ReservationNotRefundable("leased")
    if item.is_live and item.ever_unknown:
        raise ReservationNotRefundable("unknown")
    if command.only_held and not item.is_live:
        raise ReservationNotRefundable("sent")
    now = stamp(command.context, code)
    event = UseRefunded(
        **now.fields,
        reservation_id=item.reservation_id,
        cause=command.cause,
        held="reserved" if item.is_live else "used",
        kind=item.kind,
        text_id=command.note.text_id if command.note else None,
        caused_by=item.versions[-1],
    )
    closed = cases.closed(item, now, "resolved_refunded", caused_by=code.version + 1)
    return Decision(code.code_id, [event, *closed], item.reservation_id)
