"""Closing what a person still holds before they are forgotten: afterwards nobody could send to them or ask them."""

from typing import Any
from uuid import UUID

from msgspec import Struct

from domain.commands.context import Context, Decision, stamp
from domain.commands.reservation.refund import RefundReservation, refund
from domain.commands.reservation.resolve_case import ResolveReservation, resolve
from domain.errors import ReservationNotResolvable, ReservationUnknown
from domain.policy import Policy
from domain.working_set import WorkingSet


class CloseForErasure(Struct, frozen=True, kw_only=True):
    """Settle one reservation of a person who will be forgotten. `case_id` is new and random."""

    context: Context
    reservation_id: UUID
    case_id: UUID


def close_for_forgetting(command: CloseForErasure, book: WorkingSet, policy: Policy) -> Decision:
    """Refund what is held and was surely not sent; count what may have been sent, on the admin's word.

    Counting it is the side that costs nobody but the person who asked: given back, it could be a free use. What is
    settled already stays as it is.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotResolvable: `why` is leased: it is being sent right now; ask again when the lease has ended.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    if item.is_leased(stamp(command.context, book.codes[item.code_id]).at):
        raise ReservationNotResolvable("leased")
    if not item.is_live:
        return Decision(item.code_id, (), item.reservation_id)
    about: dict[str, Any] = {"context": command.context, "reservation_id": command.reservation_id}
    if item.ever_unknown or item.case_id is not None or item.lease is not None:
        return resolve(ResolveReservation(**about, resolution="sent", case_id=command.case_id), book, policy)
    return refund(RefundReservation(**about, cause="forgotten", only_held=True), book, policy)
