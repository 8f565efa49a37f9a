"""Cancel a reservation before anything was sent for it."""

from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.commands.context import CommandContext, Decision
from domain.commands.reservation.refund import RefundReservation, refund_reservation
from domain.errors import RefusalOrder, ReservationNotRefundable, ReservationUnknown
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class CancelReservation(Struct, frozen=True, kw_only=True):
    """Refund a reserved use; never one that counts. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, ReservationNotRefundable)

    context: CommandContext
    reservation_id: UUID
    note: TextDraft | None = None


def cancel_reservation(command: CancelReservation, working_set: WorkingSet, policy: Policy) -> Decision:
    """Refund a pending reservation that is not being sent and has no unknown outcome.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotRefundable: `why` is refunded, leased, unknown or sent.
    """
    as_refund = RefundReservation(
        context=command.context,
        reservation_id=command.reservation_id,
        cause="cancelled",
        note=command.note,
        held_only=True,
    )
    return refund_reservation(as_refund, working_set, policy)
