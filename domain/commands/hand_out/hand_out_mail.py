"""Record the outcome of an email with a handed-out code, its bounce, and that it is to be sent again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from msgspec import Struct

from domain.asks import Asks, Names
from domain.commands.context import CommandContext, Decision, event_stamp, id_of_text
from domain.commands.reads import Reads, name_codes
from domain.errors import HandOutMailConflict, NoSuchCode, NoSuchHandOut, RefusalOrder
from domain.events.hand_out import (
    HandedOutCodeEvent,
    HandOutBounced,
    HandOutComplained,
    HandOutDelayed,
    HandOutFailed,
    HandOutMailEvent,
    HandOutReminded,
    HandOutResendRequested,
    HandOutSent,
    HandOutSkipped,
    HandOutUnknown,
    SkipReason,
)
from domain.model.hand_out import HandedOutCode
from domain.model.redeem_code import RedeemCode
from domain.ports import Accepted, FinalOutcome, OutcomeUnknown, Rejected, TextDraft
from domain.working_set import WorkingSet

MAILS_MAX = 10
"""Emails with one code, so that a mistake in a script does not flood a mailbox."""


class RecordHandOutMail(Struct, frozen=True, kw_only=True):
    """Record the final outcome of one email. An outcome that is known already, or of an older email, changes nothing.

    `outcome` is that of all attempts together, or why there was none.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCode, NoSuchHandOut)

    context: CommandContext
    code_id: UUID
    mail: int
    outcome: FinalOutcome | SkipReason


class RecordHandOutReport(Struct, frozen=True, kw_only=True):
    """Record that an email with a code bounced or is delayed, or that its recipient complained.

    `text`, the report or what staff write about it, goes to the vault; the id of a report's text is that of the report.
    `mail`: the number of the email that a report is about; None for the newest one, if staff record a bounce. `reason`:
    why it bounced, as a stable word, if a report gives one.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCode, NoSuchHandOut, HandOutMailConflict)

    context: CommandContext
    code_id: UUID
    kind: Literal["bounced", "delayed", "complained"] = "bounced"
    mail: int | None = None
    text: TextDraft | None = None
    reason: str | None = None


class ResendHandOut(Struct, frozen=True, kw_only=True):
    """Have the code sent again, with the same link. While an email is queued, this changes nothing."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCode, NoSuchHandOut, HandOutMailConflict)

    context: CommandContext
    code_id: UUID


class RemindOfHandOut(Struct, frozen=True, kw_only=True):
    """Have the recipient reminded of a code that is not redeemed, once. What needs no reminder changes nothing.

    `waiting_id`: the code of the same line that is not redeemed; None for `code_id` itself.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCode, NoSuchHandOut)

    context: CommandContext
    code_id: UUID
    waiting_id: UUID | None = None


HandOutMailCommand = RecordHandOutMail | RecordHandOutReport | ResendHandOut | RemindOfHandOut
"""A command about one handed-out code, by the code's id."""


def _ask(commands: Sequence[HandOutMailCommand], _seen: WorkingSet, asks: Asks) -> None:
    asks.handed_out.update(command.code_id for command in commands)


def _ask_about_reports(commands: Sequence[RecordHandOutReport], seen: WorkingSet, asks: Asks) -> None:
    _ask(commands, seen, asks)
    asks.texts.update(command.text.text_id for command in commands if command.text and command.mail is not None)


def _name_waiting(commands: Sequence[RemindOfHandOut], names: Names) -> None:
    name_codes(commands, names)
    names.codes.update(command.waiting_id for command in commands if command.waiting_id is not None)


HAND_OUT_MAIL_READS: Final[Reads[HandOutMailCommand]] = Reads(name=name_codes, ask=_ask)
HAND_OUT_REMINDER_READS: Final[Reads[RemindOfHandOut]] = Reads(name=_name_waiting, ask=_ask)
HAND_OUT_REPORT_READS: Final[Reads[RecordHandOutReport]] = Reads(name=name_codes, ask=_ask_about_reports)


def record_hand_out_mail(command: RecordHandOutMail, working_set: WorkingSet) -> Decision:
    """Record the outcome of the email that is queued.

    Raises:
        Refusal: One of `RecordHandOutMail.refusals`, in that order.
    """
    handed_out = _find(command, working_set)
    if handed_out.mail != command.mail or handed_out.mail_state != "queued":
        return Decision(command.code_id)
    fields = _event_fields(command, working_set, command.mail)
    return Decision(command.code_id, [_outcome_event(command.outcome, fields)])


def record_hand_out_report(command: RecordHandOutReport, working_set: WorkingSet) -> Decision:
    """Record a report once, also while a newer email is queued. Delays and complaints change no outcome of an email.

    A report is evidence that its email was sent, also while its outcome is not recorded. The bounce of an earlier email
    does not change the state of the newest.

    Raises:
        Refusal: One of `RecordHandOutReport.refusals`, in that order.
    """
    handed_out = _find(command, working_set)
    is_report = command.mail is not None
    mail = handed_out.mail if command.mail is None else command.mail
    is_newest = mail == handed_out.mail
    if mail > handed_out.mail or (not is_report and handed_out.mail_state not in {"sent", "unknown", "bounced"}):
        raise HandOutMailConflict("not_sent")
    is_bounce = command.kind == "bounced"
    if is_bounce and is_newest and handed_out.mail_state == "bounced":
        return Decision(command.code_id)
    if is_report and command.text is not None and working_set.has_text(command.text.text_id):
        return Decision(command.code_id)
    fields = {**_event_fields(command, working_set, mail), "text_id": id_of_text(command.text)}
    if is_bounce:
        event: HandOutMailEvent = HandOutBounced(**fields, reason=command.reason, superseded=not is_newest)
    else:
        event = (HandOutDelayed if command.kind == "delayed" else HandOutComplained)(**fields)
    return Decision(command.code_id, [event], text=command.text)


def resend_hand_out(command: ResendHandOut, working_set: WorkingSet) -> Decision:
    """Request the next email.

    Raises:
        Refusal: One of `ResendHandOut.refusals`, in that order.
    """
    handed_out = _find(command, working_set)
    if handed_out.codes == 1 and working_set.code(command.code_id).revoked_by is not None:
        raise HandOutMailConflict("revoked")
    if handed_out.mail_state == "queued":
        return Decision(command.code_id)
    if handed_out.mail >= MAILS_MAX:
        raise HandOutMailConflict("too_many")
    fields = _event_fields(command, working_set, handed_out.mail + 1)
    return Decision(command.code_id, [HandOutResendRequested(**fields)])


def remind_of_hand_out(command: RemindOfHandOut, working_set: WorkingSet) -> Decision:
    """Request the reminder.

    Raises:
        Refusal: One of `RemindOfHandOut.refusals`, in that order.
    """
    handed_out, code = _find(command, working_set), working_set.code(command.waiting_id or command.code_id)
    is_wanted = (
        handed_out.reminder is None and handed_out.mail_state == "sent" and needs_reminder(code, command.context.now)
    )
    if not is_wanted:
        return Decision(command.code_id)
    return Decision(command.code_id, [HandOutReminded(**_event_fields(command, working_set, handed_out.mail + 1))])


def needs_reminder(code: RedeemCode, now: datetime) -> bool:
    """Return whether a handed-out code can still be redeemed and was not."""
    return code.revoked_by is None and not code.is_expired(now) and code.used + code.reserved == 0


def _find(command: HandOutMailCommand, working_set: WorkingSet) -> HandedOutCode:
    working_set.code(command.code_id)
    handed_out = working_set.find_handed_out(command.code_id)
    if handed_out is None or handed_out.line_id is not None:  # the emails are those of the first code of the line
        raise NoSuchHandOut
    return handed_out


def _event_fields(command: HandOutMailCommand, working_set: WorkingSet, mail: int) -> dict[str, Any]:
    return {**event_stamp(command.context, working_set.code(command.code_id)).fields, "mail": mail}


def _outcome_event(outcome: FinalOutcome | SkipReason, fields: dict[str, Any]) -> HandedOutCodeEvent:
    match outcome:
        case Accepted():
            return HandOutSent(**fields, server=outcome.server, reply_code=outcome.reply_code)
        case OutcomeUnknown():
            return HandOutUnknown(**fields, server=outcome.server, cause=outcome.cause)
        case Rejected():
            return HandOutFailed(**fields, server=outcome.server, reason=outcome.reason, reply_code=outcome.reply_code)
        case str():
            return HandOutSkipped(**fields, reason=outcome)
