"""Giving a use back by a person's word. A refund names one reservation that is held or counted."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from msgspec import Struct

from domain.commands import case_events
from domain.commands.access import end_on_refund
from domain.commands.context import Context, Decision, EventStamp, stamp
from domain.commands.reservation.settle_due import after_lapse
from domain.errors import Refusal, ReservationNotRefundable, ReservationUnknown
from domain.events import Event, UseRefunded
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class RefundReservation(Struct, frozen=True, kw_only=True):
    """Give back one use.

    `note` goes to the vault. `only_held` leaves counted uses alone. `revoke_access` says whether the access that a sent
    invitation gave is revoked with it, or stays; None is refused where the invitation was accepted, and revokes what a
    group's own system may have given otherwise.
    """

    context: Context
    reservation_id: UUID
    cause: Literal["staff", "cancelled", "reset", "forgotten"]
    note: TextDraft | None = None
    only_held: bool = False
    revoke_access: bool | None = None


def refund(command: RefundReservation, book: WorkingSet, policy: Policy) -> Decision:
    """Refund a live reservation that is never unknown, or a sent one, whose case is closed with it; no leased one.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotRefundable: `why` is refunded, leased, unknown, moving (a rebind of it is under way: that comes
            first), moved (a later reservation has the access, and it is not to stay) or sent.
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
    now = stamp(command.context, code)
    lapsed, code, item = after_lapse(code, item, now, case_events.derived_id(item), policy)
    try:
        _check(command, item, book)
        events = _refunded(command, code, item, now)
    except Refusal as refusal:
        return Decision(code.code_id, lapsed, item.reservation_id, refusal)
    return Decision(code.code_id, [*lapsed, *events], item.reservation_id)


def _check(command: RefundReservation, item: Reservation, book: WorkingSet) -> None:
    """Raise what stands in the way."""
    why = _hindrance(command, item, book)
    if why is not None:
        raise ReservationNotRefundable(why)


def _hindrance(command: RefundReservation, item: Reservation, book: WorkingSet) -> str | None:
    if item.lease is not None:
        return "leased"
    if item.is_live and item.ever_unknown:
        return "unknown"
    if is_being_moved(item, book):
        return "moving"
    if command.revoke_access is not False and has_moved(item, book):
        return "moved"
    return "sent" if command.only_held and not item.is_live else None


def _refunded(command: RefundReservation, code: RedeemCode, item: Reservation, now: EventStamp) -> Sequence[Event]:
    event = UseRefunded(
        **now.fields,
        reservation_id=item.reservation_id,
        cause=command.cause,
        held="reserved" if item.is_live else "used",
        kind=item.kind,
        text_id=command.note.text_id if command.note else None,
        caused_by=item.moved_by,
    )
    closed = case_events.closed(item, now, "resolved_refunded", caused_by=code.version + 1)
    return [
        event,
        *closed,
        *end_on_refund.withdrawn(item, now, choice=command.revoke_access, caused_by=code.version + 1),
    ]


def has_moved(item: Reservation, book: WorkingSet) -> bool:
    """Whether a later reservation has its access, which would be left without a use."""
    return any(other.status == "sent" for other in book.moves(item))


def is_being_moved(item: Reservation, book: WorkingSet) -> bool:
    """Whether a rebind of its access is under way: it would be left with nothing to move."""
    return any(other.is_live for other in book.moves(item))
