"""Send an invitation again: a new delivery, which counts no use (rule 12)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Final
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks
from domain.commands.case_events import close_case
from domain.commands.context import CommandContext, Decision, event_stamp, id_of_text
from domain.commands.reads import Reads, name_reservations
from domain.errors import RefusalOrder, ReservationNotResendable, ReservationUnknown
from domain.events.event import Event
from domain.events.reservation import ResendRequested
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class RequestResend(Struct, frozen=True, kw_only=True):
    """Send the invitation of a sent reservation again. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, ReservationNotResendable)

    context: CommandContext
    reservation_id: UUID
    note: TextDraft | None = None


def _ask(commands: Sequence[RequestResend], seen: WorkingSet, asks: Asks) -> None:
    targets = (seen.reservations.get(command.reservation_id) for command in commands)
    asks.suppressions.update(target.recipient_id for target in targets if target)


RESEND_READS: Final[Reads[RequestResend]] = Reads(name=name_reservations, ask=_ask)


def request_resend(command: RequestResend, working_set: WorkingSet, policy: Policy) -> Decision:
    """Begin a new delivery, with its own deadline and attempts; an open case about a bounce ends with it.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotResendable: `why` is refunded, not_sent, accepted (it arrived), ended (the access is over),
            resending (one is on its way), too_many or undeliverable (its address is not written to).
    """
    reservation = working_set.reservation(command.reservation_id)
    if reservation.was_handled_in_request(command.context.request_id, ResendRequested):
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    if (why := _find_obstacle(reservation, policy)) is not None:
        raise ReservationNotResendable(why)
    if working_set.find_suppression(reservation.recipient_id, reservation.group) is not None:
        raise ReservationNotResendable("undeliverable")
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    events: list[Event] = [*close_case(reservation, stamp, "sent_again", caused_by=reservation.moved_by)]
    events.append(
        ResendRequested(
            **stamp.for_reservation(reservation),
            delivery=reservation.delivery + 1,
            deadline=stamp.now + timedelta(seconds=policy.reservation_ttl_s),
            text_id=id_of_text(command.note),
            caused_by=reservation.moved_by,
        )
    )
    return Decision(reservation.code_id, events, reservation.reservation_id, text=command.note, follow_up="send")


def _find_obstacle(reservation: Reservation, policy: Policy) -> str | None:
    if reservation.status == "refunded":
        return "refunded"
    if reservation.is_live:
        return "not_sent"
    if reservation.accepted_at is not None:
        return "accepted"
    if not reservation.has_active_access:
        return "ended"
    if reservation.resending and reservation.case_id is None:
        return "resending"
    return "too_many" if reservation.delivery >= policy.deliveries_max else None
