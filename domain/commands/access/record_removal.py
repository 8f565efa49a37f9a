"""The group's own system took a person's access away. Whether the use comes back is for staff to decide."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.commands import case_events
from domain.commands.context import Context, Decision, stamp
from domain.commands.input_bounds import reported_fields
from domain.errors import NothingSent, ReservationUnknown
from domain.events import AccessRevoked
from domain.working_set import WorkingSet


class RecordExternalRemoval(Struct, frozen=True, kw_only=True):
    """A person was removed. `occurred_at` is when, where that was before we learned of it."""

    context: Context
    reservation_id: UUID
    occurred_at: datetime | None = None


def record_removal(command: RecordExternalRemoval, book: WorkingSet) -> Decision:
    """Record it once; it also ends what was still to be done about it, by machines or as a case.

    Raises:
        ReservationUnknown: There is no such reservation.
        NothingSent: No invitation of it is known to have been sent, so it gave no access.
        OutOfBounds: `occurred_at` is earlier than the reservation, or ahead of now.
    """
    item = book.reservations.get(command.reservation_id)
    if item is None:
        raise ReservationUnknown
    is_waited_for = item.access is not None and item.access.removal in {"removing", "removal_failed"}
    if not item.proved_deliveries and not is_waited_for:
        raise NothingSent
    if item.access_revoked_at is not None and not is_waited_for:
        return Decision(item.code_id, (), item.reservation_id)
    code = book.codes[item.code_id]
    now = stamp(command.context, code)
    fields = reported_fields(now, item, command.occurred_at)
    event = AccessRevoked(**fields, reservation_id=item.reservation_id, caused_by=item.moved_by)
    if not case_events.is_of_removal(item):
        return Decision(item.code_id, (event,), item.reservation_id)
    closed = case_events.closed(item, now, case_events.REMOVED, caused_by=code.version + 1)
    return Decision(item.code_id, (event, *closed), item.reservation_id)
