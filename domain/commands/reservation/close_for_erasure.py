"""Settle a recipient's pending reservations before their data is erased: nothing can be sent to them afterwards."""

from typing import Any, ClassVar
from uuid import UUID

from msgspec import Struct

from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.reservation.refund import RefundReservation, refund_reservation
from domain.commands.reservation.resolve_case import ResolveReservation, resolve_reservation
from domain.errors import RefusalOrder, ReservationNotResolvable, ReservationUnknown
from domain.policy import Policy
from domain.working_set import WorkingSet


class CloseForErasure(Struct, frozen=True, kw_only=True):
    """Settle one reservation of a recipient whose data is about to be erased. `case_id` is new and random."""

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, ReservationNotResolvable)

    context: CommandContext
    reservation_id: UUID
    case_id: UUID


def close_for_erasure(command: CloseForErasure, working_set: WorkingSet, policy: Policy) -> Decision:
    """Refund a use that was definitely not sent; count one that may have been sent.

    Counting is at the cost of the person who asked for the erasure; a refund could be a free use. A settled reservation
    stays as it is.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotResolvable: `why` is leased: it is being sent right now; ask again when the lease has ended.
    """
    reservation = working_set.reservation(command.reservation_id)
    if reservation.is_leased(event_stamp(command.context, working_set.codes[reservation.code_id]).now):
        raise ReservationNotResolvable("leased")
    if not reservation.is_live:
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    about: dict[str, Any] = {"context": command.context, "reservation_id": command.reservation_id}
    if reservation.ever_unknown or reservation.case_id is not None or reservation.lease is not None:
        return resolve_reservation(
            ResolveReservation(**about, resolution="sent", case_id=command.case_id), working_set, policy
        )
    return refund_reservation(RefundReservation(**about, cause="forgotten"), working_set, policy)
