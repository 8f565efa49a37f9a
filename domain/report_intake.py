"""Take in reports about emails: bounces, delays and complaints, however they came.

A report counts only with the token of its email (`mail_token`). What it means is decided by the commands;
here it is turned into one, and its result into a word for logs, metrics and scripts.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol
from uuid import UUID, uuid5

from domain.command_bus import Command
from domain.commands.campaign.waiting_list import LeaveWaitingList
from domain.commands.context import CommandContext
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.hand_out.hand_out_mail import RecordHandOutReport
from domain.errors import Refusal
from domain.events.waiting_list import WaitingListLeft
from domain.model.suppression import ReportKind, find_suppression, suppressed_until
from domain.ports import TextDraft
from domain.results import Result, WaitingResult
from domain.values.mail.mail_token import MailRef, read_mail_token
from domain.writes import NewSuppression

REPORT_CHARS_MAX: Final = 8_000
"""Characters of a report that are stored."""
RECORDED: Final = "taken"
ReportOutcome = Literal["taken", "known", "no_token", "unknown", "not_sent"]
"""What became of a report: it is in the history now; it was before, or changes nothing; it has no valid token, or an
expired one; what its token names is not in this ledger, or its recipient's data was erased; or it was never sent."""


class MailReport(NamedTuple):
    """What a mail server, a provider or a recipient says of an email that was accepted before.

    Attributes:
        tokens: What may be the token of the email, the most reliable first.
        said: What it says about the email.
        raw: The report as it came.
        reason: Why it bounced, as a word of `InviteBounced`.
    """

    kind: ReportKind
    tokens: Sequence[str]
    said: str
    raw: str = ""
    reason: str = "other"
    reply_code: int | None = None

    @property
    def text(self) -> str:
        """The report as the vault stores it: what it says first, then as it came, up to `REPORT_CHARS_MAX`.

        Both may hold what no database stores: the character NUL, and surrogates without their other half.
        """
        parts = (part[:REPORT_CHARS_MAX].replace("\0", "").strip() for part in (self.said, self.raw))
        text = "\n\n".join(filter(None, parts))[:REPORT_CHARS_MAX]
        return text.encode(errors="replace").decode()


class TakenReport(NamedTuple):
    """What became of a report.

    Attributes:
        event: Type of the new event; None if there is none.
    """

    outcome: ReportOutcome
    ref: MailRef | None = None
    event: str | None = None


class DraftReport(Protocol):
    """Drafts the text of a report for the vault."""

    def __call__(self, text: str, text_id: UUID, reservation_id: UUID | None) -> TextDraft:
        """Encrypt the text under its id; it is about a reservation, or about a code."""


class ReportedOffer(NamedTuple):
    """Whom the email of an offer is about: the campaign and the person of the place, and the group of the code."""

    campaign_id: UUID
    recipient_id: UUID
    group: str | None


class ReportIntake(NamedTuple):
    """Takes in reports.

    Attributes:
        secret: Key of the tokens.
        execute: Runs commands, with one result each.
        draft_text: Drafts texts for the vault.
        new_id: Random ids.
        has_recipient: Whether the person whom an email was sent to is known; not if their data was erased.
        find_offer: Returns a place on a waiting list, also one that has ended; None if its person's data was erased.
        leave: Ends a place.
    """

    secret: bytes
    execute: Callable[[Sequence[Command]], Sequence[Result]]
    draft_text: DraftReport
    new_id: Callable[[], UUID]
    has_recipient: Callable[[MailRef], bool]
    find_offer: Callable[[UUID], ReportedOffer | None]
    leave: Callable[[LeaveWaitingList], WaitingResult | Refusal]

    def take(self, report: MailReport, context: CommandContext) -> TakenReport:
        """Record what a report says, once. The same report again, or another one about the same, changes nothing.

        Raises:
            StorageUnavailableError: The database is unavailable; the same report may be taken in again.
        """
        ref = self._find_ref(report, context.now)
        if ref is None:
            return TakenReport("no_token")
        if ref.kind == "offer":
            return self._end_place(report, ref, context)
        if not self.has_recipient(ref):
            return TakenReport("unknown", ref)
        (result,) = self.execute([self._command(report, ref, context)])
        if isinstance(result, Refusal):
            return TakenReport("not_sent" if result.kind == "conflict" else "unknown", ref)
        if not result.changed:
            return TakenReport("known", ref)
        return TakenReport(
            RECORDED, ref, ("HandOut" if ref.kind == "hand_out" else "Invite") + report.kind.capitalize()
        )

    def _end_place(self, report: MailReport, ref: MailRef, context: CommandContext) -> TakenReport:
        """End the place of a person who does not get the email of the offer, or wants none; a delay changes nothing."""
        offer = self.find_offer(ref.subject_id)
        if offer is None:
            return TakenReport("unknown", ref)
        if report.kind == "delayed":
            return TakenReport("known", ref)
        reason, since = find_suppression(report.kind, report.reason, offer.group), context.now
        text_id = _find_text_id(report, ref)
        command = LeaveWaitingList(
            context=context,
            campaign_id=offer.campaign_id,
            place_id=ref.subject_id,
            cause="undeliverable",
            note=self.draft_text(report.text, text_id, None),
            suppression=None
            if reason is None
            else NewSuppression(offer.recipient_id, reason, since, suppressed_until(reason.cause, since), text_id),
        )
        result = self.leave(command)
        if isinstance(result, Refusal):
            return TakenReport("unknown", ref)
        return TakenReport(RECORDED, ref, WaitingListLeft.__name__) if result.changed else TakenReport("known", ref)

    def _find_ref(self, report: MailReport, now: datetime) -> MailRef | None:
        refs = (read_mail_token(self.secret, token, now) for token in report.tokens)
        return next((ref for ref in refs if ref is not None), None)

    def _command(self, report: MailReport, ref: MailRef, context: CommandContext) -> Command:
        text_id = _find_text_id(report, ref)
        if ref.kind == "hand_out":
            return RecordHandOutReport(
                context=context,
                code_id=ref.subject_id,
                kind=report.kind,
                mail=ref.number,
                text=self.draft_text(report.text, text_id, None),
                reason=report.reason,
            )
        return RecordMailReport(
            context=context,
            reservation_id=ref.subject_id,
            delivery=ref.number,
            case_id=self.new_id(),
            kind=report.kind,
            mail="invite" if ref.kind == "invite" else "notice",
            reason=report.reason,
            reply_code=report.reply_code,
            evidence="token",
            text=self.draft_text(report.text, text_id, ref.subject_id),
        )


def _find_text_id(report: MailReport, ref: MailRef) -> UUID:
    """Return the id of the report and of its text, so that the same one, come again, is recognized."""
    return uuid5(ref.subject_id, f"{ref.kind} {ref.number} {report.kind}")
