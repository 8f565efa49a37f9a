"""The emails of hand-outs: lease, issue, send, record. Each step commits before the next begins.

A crash between any two leaves rows whose lease ends. Issuing a code again changes nothing, because its id is that of
the row, or follows from it. The first code of a row is issued last: once it exists, the row has all its codes. An email
that may have been sent is sent again with the same Message-ID, as an invitation is.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.command_bus import Command
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.context import CommandContext
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail, RemindOfHandOut, needs_reminder
from domain.errors import CampaignHasEnded
from domain.events.hand_out import SkipReason
from domain.judgment import HAND_OUT, LEASE_LOST, Again, Attempts, End, judge, postpone
from domain.model.hand_out import list_codes_of_line
from domain.model.redeem_code import RedeemCode
from domain.ports import (
    ADDRESS_MISMATCH,
    Accepted,
    Channel,
    CodeDraft,
    FinalOutcome,
    OptOuts,
    OutboundMessage,
    Outcome,
    OutcomeUnknown,
    Rejected,
    UnverifiedAddress,
    outcome_label,
)
from domain.results import CommandResult
from domain.values.batched import batched
from domain.values.identifiers import EmailAddress, format_code
from domain.values.quiet_hours import find_end_of_quiet_hours
from domain.values.redeem_window import RedeemWindow
from projections.hand_outs.hand_out_queue import CodeValidity, DueRow, HandOutQueue, QueuedMail, RowEnd
from projections.telemetry.metrics import HAND_OUT_MAILS
from workers.channels.group_router import UNBOUNDED, Cooldowns
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.loop import Ended, send_due
from workers.sending.message_factory import HandOutMail

RUN_MAX_S: Final = 10.0
"""Seconds after which a run leases nothing more; the next run follows in seconds."""
ISSUED_MAX: Final = 500
"""Codes of rows with several that one commit issues, as a batch of an import does."""
REMINDERS_MAX: Final = 500
"""Reminders that one run requests."""
LEDGER: Final = "ledger"
"""The server of an email that no server was asked to send."""


class PreparedMail(NamedTuple):
    """A leased row, its newest email, and the message to send, or why none is sent."""

    row: DueRow
    mail: QueuedMail
    message: OutboundMessage | None
    why_not: Outcome | SkipReason | None = None


@dataclass(slots=True, kw_only=True)
class HandOutSender:
    """`SendingKind`: emails of hand-outs, leased as rows of their lists.

    Attributes:
        draft_code: Drafts a new code with an id.
        find_code: Returns the present state of a code.
        executor: Runs sendings; has as many threads as there are send slots.
        slots: The number of send slots.
        channel: Returns the calling thread's own channel.
        capacity: How many emails the mail server accepts at once.
        cooldowns: Which groups' systems are in backoff.
        leased_count: How many rows were leased.
    """

    queue: HandOutQueue
    opt_outs: OptOuts
    steps: DeliverySteps
    draft_code: Callable[[UUID], CodeDraft]
    find_code: Callable[[UUID], RedeemCode | None]
    executor: Executor
    slots: int
    channel: Callable[[], Channel]
    cooldowns: Cooldowns
    capacity: Callable[[], int] = lambda: UNBOUNDED
    leased_count: int = field(default=0, init=False)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Send until nothing is due, or the run should stop; return the number of rows."""
        if not should_stop():  # looking for them reads all codes that were sent
            self._request_reminders()
        self.leased_count = 0
        send_due(self, should_stop)
        return self.leased_count

    def turn(self, ended: Sequence[Ended[PreparedMail, Outcome]], free: int) -> Sequence[PreparedMail] | None:
        """Record outcomes, lease rows, and issue their codes."""
        for each, outcome in ended:
            if each.message is not None and each.message.group is not None and outcome is not None:
                self.cooldowns.record(each.message.group, outcome)
        self._record([(each, outcome) for each, outcome in ended if outcome is not None])
        # One at least: the groups of the next rows may have systems of their own.
        most = min(free, max(self.capacity() - (self.slots - free), 1)) if free else 0
        rows = self.queue.take(self.steps.now(), most) if most else []
        if not rows:
            return None
        self.leased_count += len(rows)
        by_group: dict[str | None, list[DueRow]] = {}
        for row in rows:
            by_group.setdefault(self.queue.details(row.hand_out_id).created.group, []).append(row)
        return [each for group, rows_of_group in by_group.items() for each in self._prepare_rows(group, rows_of_group)]

    def start(self, leased: Sequence[PreparedMail]) -> Mapping[Future[Outcome], PreparedMail]:
        """Send in threads."""
        return {self.executor.submit(self._send, each): each for each in leased}

    def _send(self, prepared: PreparedMail) -> Outcome:
        if prepared.message is None:
            raise AssertionError("only a message is sent")
        return self.steps.send_in_time(self.channel(), prepared.message, prepared.row.leased_until)

    def _prepare_rows(self, group: str | None, rows: Sequence[DueRow]) -> list[PreparedMail]:
        """Return what is sent to recipients of one group; end or postpone the other rows."""
        now = self.steps.now()
        if group is not None and self.cooldowns.is_active(group):
            self.queue.finish([row.end(postpone(now, HAND_OUT), row.attempts - 1) for row in rows])
            return []
        opted_out = self.opt_outs.find_opted_out([row.recipient_id for row in rows], group)
        remaining = self._leave_out(rows, opted_out)
        never = self._issue(remaining)
        mails = self.queue.find_mails([row.code_id for row in remaining])
        without = [row for row in remaining if row.code_id not in mails]  # a bug was logged, or it is never issued
        self.queue.finish([row.end(None if row.code_id in never else postpone(now, HAND_OUT)) for row in without])
        finished = [row for row in remaining if row.code_id in mails and mails[row.code_id].state != "queued"]
        self.queue.finish([row.end(None) for row in finished])
        queued = self._postpone(
            [row for row in remaining if row.code_id in mails and mails[row.code_id].state == "queued"], mails
        )
        prepared = self._prepare(group, queued, mails, opted_out)
        self._record([(each, each.why_not) for each in prepared if each.why_not is not None])
        return [each for each in prepared if each.message is not None]

    def _leave_out(self, rows: Sequence[DueRow], opted_out: frozenset[UUID]) -> list[DueRow]:
        """End the rows of recipients who opted out before a code was issued for them; return the others."""
        if not opted_out:
            return list(rows)
        issued = self.queue.find_mails([row.code_id for row in rows])
        left_out = [row for row in rows if row.recipient_id in opted_out and row.code_id not in issued]
        self.queue.finish([row.end(None) for row in left_out])
        HAND_OUT_MAILS.labels("opted_out").inc(len(left_out))
        return [row for row in rows if row not in left_out]

    def _postpone(self, rows: Sequence[DueRow], mails: Mapping[UUID, QueuedMail]) -> list[DueRow]:
        """Postpone reminders to the end of the quiet hours that began after they were requested; return the others."""
        now, ends = self.steps.now(), list[RowEnd]()
        for row in rows:
            mail = mails[row.code_id]
            if mail.reminder == mail.number and row.quiet_hours is not None:
                until = find_end_of_quiet_hours(row.quiet_hours, now)
                if until is not None:
                    ends.append(row.end(until, row.attempts - 1))
        self.queue.finish(ends)
        HAND_OUT_MAILS.labels("quiet").inc(len(ends))
        postponed = {end.code_id for end in ends}
        return [row for row in rows if row.code_id not in postponed]

    def _issue(self, rows: Sequence[DueRow]) -> set[UUID]:
        """Hand out the codes of rows, and issue those that do not exist yet; return those that are never issued.

        Their campaign has ended, or they would be expired.
        """
        now = self.steps.now()
        never = {row.code_id for row in rows if self.queue.details(row.hand_out_id).has_expired(now)}
        refused = self._issue_more([row for row in rows if row.code_id not in never])
        commands = {
            row.code_id: self._hand_out(row, row.code_id)
            for row in rows
            if row.code_id not in never and row.code_id not in refused
        }
        results = self.steps.execute([*commands.values()]) if commands else []
        refused |= {
            code_id: result for code_id, result in zip(commands, results, strict=True) if isinstance(result, Exception)
        }
        return never | {code_id for code_id, result in refused.items() if isinstance(result, CampaignHasEnded)}

    def _issue_more(self, rows: Sequence[DueRow]) -> dict[UUID, Exception]:
        """Issue all codes but the first of rows that have several; return by row why one was not issued."""
        several = [row for row in rows if row.codes > 1]
        complete = self.queue.find_mails([row.code_id for row in several]) if several else {}
        more = [
            (row, code_id)
            for row in several
            if row.code_id not in complete
            for code_id in list_codes_of_line(row.code_id, row.codes)[1:]
        ]
        refused: dict[UUID, Exception] = {}
        for some in batched(more, ISSUED_MAX):
            results = self.steps.execute([self._hand_out(row, code_id) for row, code_id in some])
            refused |= {
                row.code_id: result
                for (row, _), result in zip(some, results, strict=True)
                if isinstance(result, Exception)
            }
        return refused

    def _hand_out(self, row: DueRow, code_id: UUID) -> Command:
        line_id = None if code_id == row.code_id else row.code_id
        details = self.queue.details(row.hand_out_id)
        place = HandOutPlace(row.hand_out_id, row.recipient_id, row.codes, line_id)
        created, campaign_id = details.created, details.hand_out.campaign_id
        if created.existing_codes:
            return HandOutCode(
                context=self._context(),
                code_id=code_id,
                campaign_id=campaign_id,
                mail_group=created.group,
                place=place,
                upload_id=None,
                language=row.language,
            )
        return IssueCode(
            context=self._context(),
            code_id=code_id,
            text=self.draft_code(code_id),
            terms=created.terms,
            bound=created.bound,
            campaign_id=campaign_id,
            handed_out=place,
            valid_for_days=created.valid_for_days,
        )

    def _prepare(
        self,
        group: str | None,
        rows: Sequence[DueRow],
        mails: Mapping[UUID, QueuedMail],
        opted_out: frozenset[UUID],
    ) -> list[PreparedMail]:
        code_ids = [code_id for row in rows for code_id in list_codes_of_line(row.code_id, row.codes)]
        texts, validities = self.queue.find_codes(code_ids), self.queue.find_validity(code_ids)
        addresses = self.steps.addresses([row.recipient_id for row in rows])
        prepared = []
        for row in rows:
            mail, address = mails[row.code_id], addresses.get(row.recipient_id)
            ids = list_codes_of_line(row.code_id, row.codes)
            sent = self._find_sent(row, mail, {code_id: validities.get(code_id, CodeValidity()) for code_id in ids})
            message: OutboundMessage | None = None
            why_not: Outcome | SkipReason | None = None
            if row.recipient_id in opted_out:
                why_not = "opted_out"
            elif address is None:
                why_not = "erased"
            elif isinstance(address, UnverifiedAddress) or not texts.keys() >= {*ids}:
                why_not = Rejected(server=LEDGER, reason=ADDRESS_MISMATCH, final=True)
            elif not sent:
                why_not = "not_needed"
            elif row.may_have_arrived and self._was_last_lease(row):
                why_not = LEASE_LOST
            else:
                codes = [(format_code(texts[code_id]), window) for code_id, window in sent]
                message = self._write(group, row, mail, codes, address)
            prepared.append(PreparedMail(row, mail, message, why_not))
        return prepared

    def _find_sent(
        self, row: DueRow, mail: QueuedMail, validities: Mapping[UUID, CodeValidity]
    ) -> list[tuple[UUID, RedeemWindow]]:
        """Return the codes of a row that its email has, and when each can be redeemed; none if no email is sent.

        An email with several codes leaves out those that are over, and a reminder those that are redeemed.
        """
        if row.codes == 1:
            ((code_id, validity),) = validities.items()
            return [(code_id, validity.window)] if self._may_be_sent(row, mail, validity) else []
        now, is_reminder = self.steps.now(), mail.reminder == mail.number
        return [
            (code_id, each.window)
            for code_id, each in validities.items()
            if not each.is_over(now) and not (is_reminder and each.is_used)
        ]

    def _may_be_sent(self, row: DueRow, mail: QueuedMail, validity: CodeValidity) -> bool:
        """Return False for a code that is over, or used before its first email, and for a reminder without a need."""
        now = self.steps.now()
        if validity.is_over(now) or (validity.is_used and mail.number == row.attempts == 1):
            return False
        if mail.reminder != mail.number:
            return True
        code = self.find_code(row.code_id)
        return code is not None and needs_reminder(code, now)

    def _was_last_lease(self, row: DueRow) -> bool:
        """Return whether the lease of the attempt before was lost, and that attempt was the last one."""
        lost = Attempts(now=self.steps.now(), number=row.attempts - 1)
        return isinstance(judge(None, lost, HAND_OUT), End)

    def _write(
        self,
        group: str | None,
        row: DueRow,
        mail: QueuedMail,
        codes: Sequence[tuple[str, RedeemWindow]],
        address: EmailAddress,
    ) -> OutboundMessage:
        """Write an email with one code, or with several, of which it says the first end."""
        code, window = min(codes, key=lambda each: (each[1].ends_at is None, each[1].ends_at or mail.written_at))
        own_text = self.queue.text(row.hand_out_id, row.language)
        return self.steps.message_factory.handed_out_code(
            HandOutMail(
                code_id=row.code_id,
                recipient_id=row.recipient_id,
                number=mail.number,
                code=code,
                language=row.language,
                group=group,
                written_at=mail.written_at,
                window=window,
                subject=own_text.subject,
                text=own_text.body,
                variables=row.variables,
                is_reminder=mail.reminder == mail.number,
                codes=[(code, window.ends_at) for code, window in codes] if row.codes > 1 else (),
                total=row.codes,
            ),
            address,
        )

    def _record(self, ended: Sequence[tuple[PreparedMail, Outcome | SkipReason]]) -> None:
        """Record what is final, and let the rest be tried again."""
        now, ends, commands, labels = self.steps.now(), list[RowEnd](), list[Command](), list[str]()
        for (row, mail, *_), outcome in ended:
            final: FinalOutcome | SkipReason
            if isinstance(outcome, str | Accepted):
                final = outcome
            else:
                judgment = judge(outcome, _count_attempts(row, mail, now), HAND_OUT)
                if isinstance(judgment, Again):
                    labels.append("deferred")
                    attempts = row.attempts if judgment.counts else row.attempts - 1
                    ends.append(row.end(judgment.at, attempts, may_have_arrived=isinstance(outcome, OutcomeUnknown)))
                    continue
                final = judgment.outcome
            labels.append(final if isinstance(final, str) else outcome_label(final))
            commands.append(
                RecordHandOutMail(context=self._context(), code_id=row.code_id, mail=mail.number, outcome=final)
            )
            ends.append(row.end(None))
        results = self.steps.execute(commands) if commands else []
        broken = {
            command.code_id
            for command, result in zip(commands, results, strict=True)
            if isinstance(command, RecordHandOutMail) and not isinstance(result, CommandResult)
        }
        self.queue.finish([end for end in ends if end.code_id not in broken])
        for label in labels:  # after an outage the same outcomes come again
            HAND_OUT_MAILS.labels(label).inc()

    def _request_reminders(self) -> None:
        due = self.queue.find_reminders(self.steps.now(), REMINDERS_MAX)
        if due:
            self.steps.execute(
                [
                    RemindOfHandOut(context=self._context(), code_id=code_id, waiting_id=waiting_id)
                    for code_id, waiting_id in due
                ]
            )

    def _context(self) -> CommandContext:
        return CommandContext(now=self.steps.now(), actor="worker", actor_id=self.steps.worker)


def _count_attempts(row: DueRow, mail: QueuedMail, now: datetime) -> Attempts:
    return Attempts(now=now, number=row.attempts, may_have_arrived=row.may_have_arrived, begun_at=mail.written_at)
