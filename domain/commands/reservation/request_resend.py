"""Sending an invitation once more: a delivery of its own, which counts nothing (rule 12)."""

from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from domain.commands import case_events
from domain.commands.context import Context, Decision, stamp
from domain.errors import ReservationNotResendable, ReservationUnknown
from domain.events import Event, ResendRequested
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class RequestResend(Struct, frozen=True, kw_only=True):
    """Send the invitation of a sent reservation once more. `note`, the reason, goes to the vault."""

    context: Context
    reservation_id: UUID
    note: TextDraft | None = None


def request_resend(command: RequestResend, book: WorkingSet, policy: Policy) -> Decision:
    """Open the next delivery, with its own deadline and attempts; an open case (it bounced) ends with it.

    Raises:
        ReservationUnknown: There is no such reservation.
        ReservationNotResendable: `why` is refunded, not_sent, accepted (it arrived), ended (the access is over),
            resending (one is on its way) or too_many.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    if item.was_handled_in_request(command.context.request_id, ResendRequested):
        return Decision(item.code_id, (), item.reservation_id)
    if (why := _hindrance(item, policy)) is not None:
        raise ReservationNotResendable(why)
    code = book.codes[item.code_id]
    now = stamp(command.context, code)
    events: list[Event] = [*case_events.closed(item, now, "sent_again", caused_by=item.moved_by)]
    events.append(
        ResendRequested(
            **now.fields,
            reservation_id=item.reservation_id,
            delivery=item.delivery + 1,
            deadline=now.at + timedelta(seconds=policy.reservation_ttl_s),
            text_id=command.note.text_id if command.note else None,
            caused_by=item.moved_by,
        )
    )
    return Decision(item.code_id, events, item.reservation_id)


def _hindrance(item: Reservation, policy: Policy) -> str | None:
    if item.status == "refunded":
        return "refunded"
    if item.is_live:
        return "not_sent"
    if item.accepted_at is not None:
        return "accepted"
    if not item.has_active_access:
        return "ended"
    if item.resending and item.case_id is None:
        return "resending"
    return "too_many" if item.delivery >= policy.deliveries_max else None
