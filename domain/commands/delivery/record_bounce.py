"""Record what a mail server reports about an email after it accepted it: a bounce, a delay, or a complaint.

A report never takes a use. A bounce after the invitation was sent opens a case for staff, or refunds the use where the
policy says so and nothing is uncertain (rule 6).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final, Literal
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks
from domain.commands.case_events import open_case
from domain.commands.context import CommandContext, Decision, EventStamp, event_stamp, id_of_text
from domain.commands.input_bounds import reported_fields
from domain.commands.reads import Reads, ask_for_rebinds, name_reservations
from domain.errors import NothingSent, OutOfBounds, RefusalOrder, ReservationUnknown
from domain.events.event import Event, ReportedMail
from domain.events.reservation import InviteBounced, InviteComplained, InviteDelayed, UseRefunded
from domain.model.reservation import Reservation
from domain.policy import Policy
from domain.ports import TextDraft
from domain.working_set import WorkingSet


class RecordBounce(Struct, frozen=True, kw_only=True):
    """An email bounced.

    `reason` is a stable word; `reply` holds the server's own words for the vault; `case_id` is new and random, used if
    a case is opened; `occurred_at` is when it bounced, if that was before the report. `mail` says whether it was the
    invitation.
    """

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, NothingSent, OutOfBounds)

    context: CommandContext
    reservation_id: UUID
    delivery: int
    reason: str
    case_id: UUID
    mail: ReportedMail = "invite"
    reply_code: int | None = None
    reply: TextDraft | None = None
    occurred_at: datetime | None = None


class RecordMailReport(Struct, frozen=True, kw_only=True):
    """An email is delayed, or its recipient complained. `report` is for the vault; its id is that of the report."""

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, NothingSent)

    context: CommandContext
    reservation_id: UUID
    delivery: int
    kind: Literal["delayed", "complained"]
    report: TextDraft
    mail: ReportedMail = "invite"


def _ask_about_bounces(commands: Sequence[RecordBounce], seen: WorkingSet, asks: Asks) -> None:
    ask_for_rebinds(commands, seen, asks)
    asks.texts.update(command.reply.text_id for command in commands if command.reply and command.mail != "invite")


def _ask_about_reports(commands: Sequence[RecordMailReport], _seen: WorkingSet, asks: Asks) -> None:
    asks.texts.update(command.report.text_id for command in commands)


BOUNCE_READS: Final[Reads[RecordBounce]] = Reads(name=name_reservations, ask=_ask_about_bounces)
MAIL_REPORT_READS: Final[Reads[RecordMailReport]] = Reads(name=name_reservations, ask=_ask_about_reports)


def record_bounce(command: RecordBounce, working_set: WorkingSet, policy: Policy) -> Decision:
    """Record a bounce once per delivery; if the bounced use counts, open a case or refund it.

    That is the newest delivery of a sent reservation that was not accepted. If a case of another cause is open, no
    second one is opened. A bounced notice changes no state.

    Raises:
        ReservationUnknown: There is no such reservation.
        NothingSent: No attempt at that delivery was ever made.
        OutOfBounds: `occurred_at` is earlier than the reservation, or ahead of now.
    """
    reservation = _find(command, working_set)
    is_known = (
        command.delivery in reservation.bounced_deliveries
        if command.mail == "invite"
        else _has_text(command.reply, working_set)
    )
    if is_known:
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    bounced = InviteBounced(
        **reported_fields(stamp, reservation, command.occurred_at),
        reservation_id=reservation.reservation_id,
        delivery=command.delivery,
        mail=command.mail,
        reason=command.reason,
        reply_code=command.reply_code,
        text_id=id_of_text(command.reply),
        caused_by=reservation.moved_by,
    )
    events: list[Event] = [bounced]
    if _is_use_in_doubt(command, reservation):
        if policy.bounce_policy == "refund" and _was_sent_once(reservation, working_set):
            events.append(_refund(reservation, stamp, code.version + 1))
        else:
            events.append(open_case(reservation, stamp, command.case_id, "bounced", caused_by=code.version + 1))
    return Decision(reservation.code_id, events, reservation.reservation_id, text=command.reply)


def record_mail_report(command: RecordMailReport, working_set: WorkingSet) -> Decision:
    """Record a delay or a complaint, each report once. Neither changes the reservation's state.

    Raises:
        ReservationUnknown: There is no such reservation.
        NothingSent: No attempt at that delivery was ever made.
    """
    reservation = _find(command, working_set)
    if _has_text(command.report, working_set):
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    kind = InviteDelayed if command.kind == "delayed" else InviteComplained
    event = kind(
        **event_stamp(command.context, working_set.codes[reservation.code_id]).for_reservation(reservation),
        delivery=command.delivery,
        mail=command.mail,
        text_id=command.report.text_id,
    )
    return Decision(reservation.code_id, [event], reservation.reservation_id, text=command.report)


def _find(command: RecordBounce | RecordMailReport, working_set: WorkingSet) -> Reservation:
    reservation = working_set.reservation(command.reservation_id)
    if reservation.last_attempt == 0 or command.delivery > reservation.delivery:
        raise NothingSent
    return reservation


def _has_text(text: TextDraft | None, working_set: WorkingSet) -> bool:
    return text is not None and working_set.has_text(text.text_id)


def _is_use_in_doubt(command: RecordBounce, reservation: Reservation) -> bool:
    """Return whether the invitation that a use counts for bounced, so that staff have to decide."""
    is_newest = command.mail == "invite" and command.delivery == reservation.delivery and not reservation.resending
    return is_newest and reservation.status == "sent" and reservation.accepted_at is None and not reservation.case_id


def _was_sent_once(reservation: Reservation, working_set: WorkingSet) -> bool:
    """Return whether the bounced email is the only copy that may exist: then the invitation certainly did not arrive.

    A rebind counts no use, and staff decide what becomes of an access that is moved, has ended, or that an external
    system may have given.
    """
    is_only_copy = reservation.is_use and reservation.last_attempt == 1 and not reservation.ever_unknown
    has_ended = reservation.access is not None and reservation.access.ending is not None
    return is_only_copy and reservation.is_by_email_only and not has_ended and not working_set.moves(reservation)


def _refund(reservation: Reservation, stamp: EventStamp, caused_by: int) -> UseRefunded:
    """Return the refund; with it the link of the email stops working."""
    return UseRefunded(
        **stamp.for_reservation(reservation), cause="bounced", held="used", kind=reservation.kind, caused_by=caused_by
    )
