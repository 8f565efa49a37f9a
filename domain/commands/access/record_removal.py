"""Record that an external system removed an access. Staff decide whether the use is refunded."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.commands.case_events import REMOVED, close_case, is_removal_case
from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.input_bounds import reported_fields
from domain.errors import NothingSent, OutOfBounds, RefusalOrder, ReservationUnknown
from domain.events.access import AccessRevoked
from domain.working_set import WorkingSet


class RecordExternalRemoval(Struct, frozen=True, kw_only=True):
    """An external system removed a recipient. `occurred_at` is when, if that was before the report."""

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, NothingSent, OutOfBounds)

    context: CommandContext
    reservation_id: UUID
    occurred_at: datetime | None = None


def record_external_removal(command: RecordExternalRemoval, working_set: WorkingSet) -> Decision:
    """Record the removal once; it also ends what was still due about the access, automatically or as a case.

    Raises:
        ReservationUnknown: There is no such reservation.
        NothingSent: No invitation of it is known to have been sent, so it gave no access.
        OutOfBounds: `occurred_at` is earlier than the reservation, or ahead of now.
    """
    reservation = working_set.reservation(command.reservation_id)
    is_awaited = reservation.access is not None and reservation.access.removal in {"removing", "removal_failed"}
    if not reservation.proved_deliveries and not is_awaited:
        raise NothingSent
    if reservation.access_revoked_at is not None and not is_awaited:
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    fields = reported_fields(stamp, reservation, command.occurred_at)
    event = AccessRevoked(**fields, reservation_id=reservation.reservation_id, caused_by=reservation.moved_by)
    if not is_removal_case(reservation):
        return Decision(reservation.code_id, (event,), reservation.reservation_id)
    closed = close_case(reservation, stamp, REMOVED, caused_by=code.version + 1)
    return Decision(reservation.code_id, (event, *closed), reservation.reservation_id)
