"""Refund a use by a decision of staff. A refund names one reservation whose use is reserved or counted."""

from collections.abc import Sequence
from typing import ClassVar, Literal
from uuid import UUID

from msgspec import Struct

from domain.commands.access.end_on_refund import end_refunded_access
from domain.commands.case_events import close_case, derive_case_id
from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp, id_of_text
from domain.commands.reservation.settle_due import settle_lapsed_lease
from domain.errors import (
    AccessChoiceRequired,
    Refusal,
    RefusalOrder,
    ReservationNotRefundable,
    ReservationUnknown,
)
from domain.events.event import Event
from domain.events.reservation import UseRefunded
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class RefundReservation(Struct, frozen=True, kw_only=True):
    """Refund one use.

    `note` goes to the vault. `held_only` leaves counted uses alone. `revoke_access` says whether the access of a sent
    invitation is revoked with it, or stays. None is refused if the invitation was accepted; otherwise it revokes what
    an external system may have given.
    """

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, ReservationNotRefundable, AccessChoiceRequired)

    context: CommandContext
    reservation_id: UUID
    cause: Literal["staff", "cancelled", "reset", "forgotten"]
    note: TextDraft | None = None
    held_only: bool = False
    revoke_access: bool | None = None


def refund_reservation(command: RefundReservation, working_set: WorkingSet, policy: Policy) -> Decision:
    """Refund a pending reservation without an unknown outcome, or a sent one with its open case; never a leased one.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotRefundable: `why` is refunded, leased, unknown, moving (a rebind of it is in progress: that comes
            first), moved (a later reservation has the access, and it is not to stay) or sent.
        AccessChoiceRequired: The invitation was accepted, its access is active, and `revoke_access` is None.
    """
    reservation = working_set.reservation(command.reservation_id)
    code = working_set.codes[reservation.code_id]
    if reservation.status == "refunded":
        if reservation.refund_request_id is not None and reservation.refund_request_id == command.context.request_id:
            return Decision(code.code_id, reservation_id=reservation.reservation_id)
        raise ReservationNotRefundable("refunded")
    stamp = event_stamp(command.context, code)
    lapse_events, code, reservation = settle_lapsed_lease(code, reservation, stamp, derive_case_id(reservation), policy)
    try:
        _check(command, reservation, working_set)
        events = _refund_events(command, code, reservation, stamp)
    except Refusal as error:
        return Decision(code.code_id, lapse_events, refusal=error)
    return Decision(code.code_id, [*lapse_events, *events], reservation.reservation_id, text=command.note)


def _check(command: RefundReservation, reservation: Reservation, working_set: WorkingSet) -> None:
    """Raise the first refusal of a refund."""
    why = _find_obstacle(command, reservation, working_set)
    if why is not None:
        raise ReservationNotRefundable(why)


def _find_obstacle(command: RefundReservation, reservation: Reservation, working_set: WorkingSet) -> str | None:
    if reservation.lease is not None:
        return "leased"
    if reservation.is_live and reservation.ever_unknown:
        return "unknown"
    if reservation.is_live:  # a rebind moves only what was sent
        return None
    if command.held_only:
        return "sent"
    if working_set.is_being_moved(reservation):
        return "moving"
    return "moved" if command.revoke_access is not False and working_set.has_moved(reservation) else None


def _refund_events(
    command: RefundReservation, code: RedeemCode, reservation: Reservation, stamp: EventStamp
) -> Sequence[Event]:
    event = UseRefunded(
        **stamp.for_reservation(reservation),
        cause=command.cause,
        held="reserved" if reservation.is_live else "used",
        kind=reservation.kind,
        text_id=id_of_text(command.note),
        caused_by=reservation.moved_by,
    )
    closed = close_case(reservation, stamp, "resolved_refunded", caused_by=code.version + 1)
    return [
        event,
        *closed,
        *end_refunded_access(reservation, stamp, choice=command.revoke_access, caused_by=code.version + 1),
    ]
