"""Record what a mail server reports about an email after it accepted it: a bounce, a delay, or a complaint.

A report never takes a use. A bounce after the invitation was sent opens a case for staff, or refunds the use where the
policy says so, the report is evidence, and nothing is uncertain (rule 6).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal
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

ReportEvidence = Literal["token", "channel", "statement"]
"""Why a report is believed: it names the token of its email, or the channel that sent it reports it by its own secret.
A caller states it; a statement never refunds by itself."""


class RecordMailReport(Struct, frozen=True, kw_only=True):
    """An email bounced or is delayed, or its recipient complained.

    `text` holds the report for the vault; of a delay and a complaint its id is that of the report. `mail` says whether
    it was the invitation, `evidence` why the report is believed. Of bounces alone: `reason` is a stable word; `case_id`
    is new and random, used if a case is opened; `occurred_at` is when it bounced, if that was before the report.
    """

    refusals: ClassVar[RefusalOrder] = (ReservationUnknown, NothingSent, OutOfBounds)

    context: CommandContext
    reservation_id: UUID
    delivery: int
    case_id: UUID
    evidence: ReportEvidence
    kind: Literal["bounced", "delayed", "complained"] = "bounced"
    mail: ReportedMail = "invite"
    reason: str = "other"
    reply_code: int | None = None
    text: TextDraft | None = None
    occurred_at: datetime | None = None

    @property
    def is_bounced_invite(self) -> bool:
        """Whether it is known by its delivery; all others are known by their text."""
        return self.kind == "bounced" and self.mail == "invite"


def _ask(commands: Sequence[RecordMailReport], seen: WorkingSet, asks: Asks) -> None:
    ask_for_rebinds([command for command in commands if command.kind == "bounced"], seen, asks)
    asks.texts.update(command.text.text_id for command in commands if command.text and not command.is_bounced_invite)


MAIL_REPORT_READS: Final[Reads[RecordMailReport]] = Reads(name=name_reservations, ask=_ask)


def record_mail_report(command: RecordMailReport, working_set: WorkingSet, policy: Policy) -> Decision:
    """Record a report once; if the bounced use counts, open a case or refund it.

    That is the newest delivery of a sent reservation that was not accepted. If a case of another cause is open, no
    second one is opened. A bounced notice, a delay and a complaint change no state.

    Raises:
        ReservationUnknown: There is no such reservation.
        NothingSent: No attempt at that delivery was ever made. A notice is sent about a use that never was, too.
        OutOfBounds: `occurred_at` is earlier than the reservation, or ahead of now.
    """
    reservation = working_set.reservation(command.reservation_id)
    is_invite = command.mail == "invite"
    if (is_invite and reservation.last_attempt == 0) or command.delivery > reservation.delivery:
        raise NothingSent
    if _is_known(command, reservation, working_set):
        return Decision(reservation.code_id, reservation_id=reservation.reservation_id)
    code = working_set.codes[reservation.code_id]
    stamp = event_stamp(command.context, code)
    about: dict[str, Any] = {"delivery": command.delivery, "mail": command.mail, "text_id": id_of_text(command.text)}
    if command.kind != "bounced":
        kind = InviteDelayed if command.kind == "delayed" else InviteComplained
        event = kind(**stamp.for_reservation(reservation), **about)
        return Decision(reservation.code_id, [event], reservation.reservation_id, text=command.text)
    bounced = InviteBounced(
        **reported_fields(stamp, reservation, command.occurred_at),
        **about,
        reservation_id=reservation.reservation_id,
        reason=command.reason,
        reply_code=command.reply_code,
        caused_by=reservation.moved_by,
    )
    events: list[Event] = [bounced]
    if _is_use_in_doubt(command, reservation):
        is_proved = command.evidence != "statement"
        if is_proved and policy.bounce_policy == "refund" and _was_sent_once(reservation, working_set):
            events.append(_refund(reservation, stamp, code.version + 1))
        else:
            events.append(open_case(reservation, stamp, command.case_id, "bounced", caused_by=code.version + 1))
    return Decision(reservation.code_id, events, reservation.reservation_id, text=command.text)


def _is_known(command: RecordMailReport, reservation: Reservation, working_set: WorkingSet) -> bool:
    if command.is_bounced_invite:
        return command.delivery in reservation.bounced_deliveries
    return command.text is not None and working_set.has_text(command.text.text_id)


def _is_use_in_doubt(command: RecordMailReport, reservation: Reservation) -> bool:
    """Return whether the invitation that a use counts for bounced, so that staff have to decide."""
    is_newest = command.mail == "invite" and command.delivery == reservation.delivery and not reservation.resending
    return is_newest and reservation.status == "sent" and reservation.accepted_at is None and not reservation.case_id


def _was_sent_once(reservation: Reservation, working_set: WorkingSet) -> bool:
    """Return whether the bounced email is the only copy that may exist: then the invitation certainly did not arrive.

    A rebind counts no use, and staff decide what becomes of an access that is moved, has ended, or that an external
    system may have given.
    """
    has_ended = reservation.access is not None and reservation.access.ending is not None
    return (
        reservation.is_use
        and not reservation.ever_unknown
        and not reservation.other_copies
        and not has_ended
        and not working_set.moves(reservation)
    )


def _refund(reservation: Reservation, stamp: EventStamp, caused_by: int) -> UseRefunded:
    """Return the refund; with it the link of the email stops working."""
    return UseRefunded(
        **stamp.for_reservation(reservation), cause="bounced", held="used", kind=reservation.kind, caused_by=caused_by
    )
