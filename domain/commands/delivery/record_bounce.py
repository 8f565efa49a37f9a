"""Record a bounced email.

A bounce never counts or refunds a use: after an invitation was sent, staff decide (rule 6).
"""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from domain.commands.case_events import open_case
from domain.commands.context import CommandContext, Decision, event_stamp, id_of_text
from domain.commands.input_bounds import reported_fields
from domain.errors import NothingSent, OutOfBounds, RefusalOrder, ReservationUnknown
from domain.events.reservation import InviteBounced
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class RecordBounce(Struct, frozen=True, kw_only=True):
    """A delivery bounced.

    `reason` is a stable word; `reply` holds the server's own words for the vault; `case_id` is new and random, used if
    a case is opened; `occurred_at` is when it bounced, if that was before the report.
    """

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, NothingSent, OutOfBounds)

    context: CommandContext
    reservation_id: UUID
    delivery: int
    reason: str
    case_id: UUID
    reply_code: int | None = None
    reply: TextDraft | None = None
    occurred_at: datetime | None = None


def record_bounce(command: RecordBounce, working_set: WorkingSet) -> Decision:
    """Record a bounce once per delivery; open a case if the bounced use counts.

    That is the newest delivery of a sent reservation that was not accepted. If a case of another cause is open, no
    second one is opened.

    Raises:
        ReservationUnknown: There is no such reservation.
        NothingSent: No attempt at that delivery was ever made.
        OutOfBounds: `occurred_at` is earlier than the reservation, or ahead of now.
    """
    reservation = working_set.reservation(command.reservation_id)
    if reservation.last_attempt == 0 or command.delivery > reservation.delivery:
        raise NothingSent
    if command.delivery in reservation.bounced_deliveries:
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    fields = reported_fields(stamp, reservation, command.occurred_at)
    bounced = InviteBounced(
        **fields,
        reservation_id=reservation.reservation_id,
        delivery=command.delivery,
        reason=command.reason,
        reply_code=command.reply_code,
        text_id=id_of_text(command.reply),
        caused_by=reservation.moved_by,
    )
    in_doubt = (
        reservation.status == "sent" and reservation.accepted_at is None and command.delivery == reservation.delivery
    )
    in_doubt = in_doubt and not reservation.resending
    if not in_doubt or reservation.case_id is not None:
        return Decision(reservation.code_id, (bounced,), reservation.reservation_id, text=command.reply)
    case = open_case(reservation, stamp, command.case_id, "bounced", caused_by=code.version + 1)
    return Decision(reservation.code_id, (bounced, case), reservation.reservation_id, text=command.reply)
