"""What the ledger does after one attempt at each kind of sending: the code of workers and domain, without servers.

Queues and channels answer as a case says. Everything between them is the code of the ledger.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal, NamedTuple, cast
from uuid import UUID

import pytest
from msgspec.structs import asdict

from domain.command_bus import Command
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail, RemindOfHandOut
from domain.commands.reservation.settle_due import SettleDue
from domain.events.access import AccessRemovalFailed, AccessRemoved
from domain.events.event import Event
from domain.events.hand_out import (
    HandOutCreated,
    HandOutFailed,
    HandOutSent,
    HandOutSkipped,
    HandOutUnknown,
)
from domain.events.reservation import (
    CaseOpened,
    InviteDeferred,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteSent,
    UseRefunded,
)
from domain.judgment import HAND_OUT as HAND_OUT_RULES
from domain.judgment import NOTICE
from domain.model.hand_out import HandOut, HandOutText
from domain.ports import (
    UNVERIFIED,
    OutboundMessage,
    Outcome,
    OutcomeUnknown,
    Rejected,
    Removal,
    RemovalOutcome,
    TextDraft,
    UnverifiedAddress,
)
from domain.results import Result
from domain.values.identifiers import EmailAddress
from domain.values.redeem_window import RedeemWindow
from projections.event_store.side_tables import REMINDER
from projections.hand_outs.hand_out_queue import CodeValidity, DueRow, HandOutQueue, QueuedMail, RowEnd
from projections.hand_outs.hand_out_reader import HandOutDetails
from projections.work_queue.due_access import BUSY_S as REMOVAL_LEASE_S
from projections.work_queue.due_access import LeasedAccess
from projections.work_queue.outbox import DueNotice
from tests.support.fake_channel import FakeChannel
from tests.support.inline_executor import InlineExecutor
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.scenario import BUSY, NO_CONNECTION, SENT, START, Scenario, ScenarioDraft
from workers.channels.group_router import Cooldowns
from workers.sending.delivery_steps import DeliverySteps, EndedDelivery
from workers.sending.hand_outs import HandOutSender
from workers.sending.loop import Ended
from workers.sending.message_factory import MessageFactory
from workers.sending.notices import NoticeSender
from workers.sending.reminders import ReminderRules
from workers.sending.removals import AccessExpirer

ASKS_AGAIN: Final = "again by the next"
"""The worker of the lease stored no outcome, and the next one asks the channel: a message may arrive twice."""
TOO_BIG: Final = Rejected(server="mx:25", reason="message_refused", final=True, reply_code=552)
LAST: Final = 0
"""Number of the attempt after which none is left."""
LEASE: Final = timedelta(seconds=90)
ADDRESS: Final = EmailAddress.parse("li@example.com")
QUIET_HOURS: Final = "11:00-13:30 UTC"
"""They include `START`, and end 90 minutes later."""
GROUP: Final = "design"
VALIDITY_DAYS: Final = 30
TERMS: Final = make_terms(group=GROUP)
HAND_OUT, CODE, RECIPIENT = UUID(int=0xA0), UUID(int=0xB0), UUID(int=0xC0)

Circumstance = Literal[
    "", "lost lease", "short lease", "over", "old", "erased", "altered", "opted out", "quiet", "rests"
]
Addresses = Mapping[UUID, EmailAddress | UnverifiedAddress]


class Case(NamedTuple):
    """One attempt at a sending.

    Attributes:
        outcome: What the channel returns if it is asked.
        attempt: Number of the attempt.
        before: What the channel returned at each attempt before.
        but: What else happened: the worker of the attempt before ended without storing an outcome; the lease ends
            before the message could; what the message is about ended; it has waited for a day, the email of a hand-out
            for a week, or is at its deadline;
            the recipient was erased; the row of the address was altered; the recipient opted out; it is in the quiet
            hours; the group's system is in backoff.
    """

    outcome: RemovalOutcome = SENT
    attempt: int = 1
    before: Outcome = BUSY
    but: Circumstance = ""


def again(wait: timedelta, *, counts: bool) -> str:
    """Say that it is sent again; `counts`: whether the attempt is one of the few that it has."""
    return f"again after {wait.total_seconds():g} s{'' if counts else ', free'}"


class ScenarioWithoutJitter(Scenario):
    """Back-offs take their jitter from a byte of the reservation's id, which is 0 here."""

    def new_id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)


class SilentDeathError(BaseException):
    """The worker ends here and stores nothing."""


class ScriptedChannel(FakeChannel):
    """Returns one outcome; a worker that ends never gets it."""

    def __init__(self, outcome: RemovalOutcome, *, is_lost: bool = False) -> None:
        super().__init__()
        self.outcome, self.is_lost = outcome, is_lost

    def send(self, message: OutboundMessage) -> Outcome:
        self.sent.append(message)
        return cast("Outcome", self._answer())

    def revoke(self, removal: Removal) -> RemovalOutcome:
        self.revoked.append(removal)
        return self._answer()

    def _answer(self) -> RemovalOutcome:
        if self.is_lost:
            raise SilentDeathError
        return self.outcome


class OptedOut:
    def __init__(self, *, everyone: bool) -> None:
        self._everyone = everyone

    def is_suppressed(self, *_: object) -> bool:
        return False

    def has_opted_out(self, *_: object) -> bool:
        return self._everyone

    def find_opted_out(self, recipient_ids: Collection[UUID], _group: str | None) -> frozenset[UUID]:
        return frozenset(recipient_ids if self._everyone else ())


def make_steps(scenario: Scenario, case: Case, lease: timedelta) -> DeliverySteps:
    """The steps of a worker, over the commands of a scenario."""

    def execute(commands: Sequence[Command]) -> list[Result]:
        return [scenario.run(command) for command in commands]

    return DeliverySteps(
        execute=execute,
        addresses=lambda ids: find_addresses(ids, case),
        message_factory=MessageFactory(b"secret", "https://ledger.example.com", "ledger.example"),
        draft_text=draft_text,
        now=lambda: scenario.now,
        new_id=scenario.new_id,
        worker="w1",
        longest_send=lease if case.but == "short lease" else timedelta(0),
    )


def draft_text(text: str, reservation_id: UUID) -> TextDraft:
    """No text of this module is stored."""
    raise AssertionError(text, reservation_id)


def find_addresses(recipient_ids: Sequence[UUID], case: Case) -> Addresses:
    if case.but == "erased":
        return {}
    return dict.fromkeys(recipient_ids, UNVERIFIED if case.but == "altered" else ADDRESS)


def resting(case: Case) -> Cooldowns:
    cooldowns = Cooldowns(lambda: 0.0)
    if case.but == "rests":
        cooldowns.record(GROUP, Rejected(server="x", reason="unreachable", final=False))
    return cooldowns


# --- Invitations ---


def judge_invitation(case: Case) -> str:
    """Claim, send and record one invitation."""
    scenario = ScenarioWithoutJitter()
    reservation_id = scenario.reserved()
    for _ in range((case.attempt or scenario.policy.attempts_max) - 1):
        scenario.attempt(reservation_id, case.before)
        scenario.now = next_attempt_at(scenario.events[-1])
    attempts = scenario.reservation(reservation_id).attempts
    steps = make_steps(scenario, case, timedelta(seconds=scenario.policy.lease_s))
    if case.but == "old":
        scenario.set_deadline(reservation_id, scenario.now + timedelta(seconds=1))
    if case.but == "over":
        scenario.set_deadline(reservation_id, scenario.now)
    channel = ScriptedChannel(case.outcome)
    claimed = steps.record_and_claim((), [reservation_id], channel.name, "t1")
    if case.but == "lost lease":
        scenario.passes(scenario.policy.lease_s)
        context = scenario.context("sweep")
        scenario.run(SettleDue(context=context, reservation_id=reservation_id, case_id=scenario.new_id()))
    else:
        results: list[EndedDelivery] = [Ended(delivery, steps.send(delivery, channel)) for delivery in claimed]
        steps.record_and_claim(results, (), channel.name, "t1")
    event = scenario.events[-1]
    if isinstance(event, InviteFailed | InviteOutcomeUnknown | InviteDeferred):
        counts = scenario.reservation(reservation_id).attempts > attempts
        return again(next_attempt_at(event) - scenario.now, counts=counts)
    return word_of(event)


def next_attempt_at(event: Event) -> datetime:
    match event:
        case InviteDeferred(until=at):
            return at
        case InviteFailed(retry_at=at) | InviteOutcomeUnknown(retry_at=at) if at is not None:
            return at
        case _:
            raise AssertionError(event)


def word_of(event: Event) -> str:
    match event:
        case InviteSent() | HandOutSent():
            return "sent"
        case AccessRemoved(effect=effect):
            return effect
        case UseRefunded(cause=cause):
            return f"refunded: {cause}"
        case CaseOpened(cause=cause):
            return f"case: {cause}"
        case HandOutFailed(reason=reason):
            return f"failed: {reason}"
        case HandOutUnknown():
            return "unknown"
        case HandOutSkipped(reason=reason):
            return reason
        case _:
            raise AssertionError(event)


# --- Hand-outs ---


@dataclass
class RowOfHandOut:
    """One row of a hand-out's list, as `HandOutQueue` leases it."""

    scenario: Scenario
    case: Case
    row: DueRow
    ends: list[RowEnd] = field(default_factory=list)

    def find_reminders(self, *_: object) -> list[UUID]:
        return []

    def take(self, *_: object) -> list[DueRow]:
        return [] if self.ends else [self.row]

    def finish(self, ends: Sequence[RowEnd]) -> None:
        self.ends += ends

    def details(self, hand_out_id: UUID) -> HandOutDetails:
        created = HandOutCreated(
            **asdict(TERMS), at=START, recorded_at=START, actor="staff", hand_out_id=hand_out_id, name="Newsletter"
        )
        hand_out = HandOut(hand_out_id=hand_out_id, campaign_id=self.scenario.campaign.campaign_id, state="running")
        return HandOutDetails(hand_out, START, START, created)

    def text(self, *_: object) -> HandOutText:
        return HandOutText()

    def find_mails(self, code_ids: Sequence[UUID]) -> dict[UUID, QueuedMail]:
        (code_id,) = code_ids or [CODE]
        handed_out = self.scenario.working_set.handed_out[code_id]
        queued_at = START - timedelta(days=7 if self.case.but == "old" else 0)
        mail = QueuedMail(handed_out.mail, handed_out.mail_state, handed_out.reminder, queued_at)
        return dict.fromkeys(code_ids, mail)

    def find_codes(self, code_ids: Sequence[UUID]) -> dict[UUID, str]:
        return dict.fromkeys(code_ids, "HANDEDOUT")

    def find_validity(self, code_ids: Sequence[UUID]) -> dict[UUID, CodeValidity]:
        window = RedeemWindow(ends_at=self.scenario.now if self.case.but == "over" else None)
        return dict.fromkeys(code_ids, CodeValidity(window))


def judge_hand_out(case: Case, *, is_reminder: bool = False) -> str:
    scenario = ScenarioWithoutJitter(campaign=make_campaign_terms())
    scenario.run(
        IssueCode(
            context=scenario.context("worker"),
            code_id=CODE,
            text=ScenarioDraft([b"handed out"], CODE),
            terms=TERMS,
            bound=True,
            campaign_id=scenario.campaign_id,
            handed_out=HandOutPlace(HAND_OUT, RECIPIENT),
        )
    )
    if is_reminder:
        context = scenario.context("worker")
        scenario.run(RecordHandOutMail(context=context, code_id=CODE, mail=1, outcome=SENT))
        scenario.run(RemindOfHandOut(context=context, code_id=CODE))
    row = DueRow(
        code_id=CODE,
        hand_out_id=HAND_OUT,
        recipient_id=RECIPIENT,
        language="en",
        variables={},
        attempts=case.attempt or HAND_OUT_RULES.attempts_max,
        may_have_arrived=isinstance(case.before, OutcomeUnknown),
        leased_until=scenario.now + LEASE,
        quiet_hours=QUIET_HOURS if case.but == "quiet" else None,
    )
    if case.but == "lost lease":
        with pytest.raises(SilentDeathError):
            send_row(scenario, case, row, ScriptedChannel(SENT, is_lost=True))
        row = row._replace(attempts=row.attempts + 1, may_have_arrived=True)  # as `take_due_rows` does
    count, channel = len(scenario.events), ScriptedChannel(case.outcome)
    end = send_row(scenario, case, row, channel)
    if case.but == "lost lease":
        return ASKS_AGAIN if channel.sent else word_of(scenario.events[-1])
    if end.due_at is not None:
        assert len(scenario.events) == count
        return again(end.due_at - scenario.now, counts=end.attempts == row.attempts)
    return word_of(scenario.events[-1])


def send_row(scenario: Scenario, case: Case, row: DueRow, channel: ScriptedChannel) -> RowEnd:
    steps, queue = make_steps(scenario, case, LEASE), RowOfHandOut(scenario, case, row)
    HandOutSender(
        queue=cast("HandOutQueue", queue),
        opt_outs=OptedOut(everyone=case.but == "opted out"),
        steps=steps,
        draft_code=lambda code_id: ScenarioDraft([b"handed out"], code_id),
        find_code=scenario.working_set.codes.get,
        executor=InlineExecutor(),
        slots=1,
        channel=lambda: channel,
        cooldowns=resting(case),
    ).run()
    (end,) = queue.ends
    return end


# --- Notices, and the reminder of an invitation ---


@dataclass
class OutboxOfOne:
    notice: DueNotice | None
    end: tuple[datetime | None, str] | None = None
    postponed_to: datetime | None = None

    def take(self, _now: datetime) -> DueNotice | None:
        notice, self.notice = self.notice, None
        return notice

    def close(self, _notice: DueNotice, due_at: datetime | None, outcome: str) -> None:
        self.end = (due_at, outcome)

    def put_off(self, _notice: DueNotice, due_at: datetime) -> None:
        self.postponed_to = due_at


def judge_notice(case: Case, *, is_reminder: bool = False) -> str:
    scenario = ScenarioWithoutJitter(group=GROUP, validity_days=VALIDITY_DAYS if is_reminder else None)
    reservation_id = scenario.reserved()
    scenario.attempt(reservation_id, SENT if is_reminder or case.but == "over" else TOO_BIG)
    if is_reminder and case.but == "over":
        scenario.accept(reservation_id)
    attempts = case.attempt or NOTICE.attempts_max
    notice = DueNotice(
        reservation_id=reservation_id,
        template=REMINDER if is_reminder else "refund_notice",
        written_at=scenario.now - (timedelta(days=1) if case.but == "old" else timedelta(0)),
        attempts=attempts,
        last_outcome="failed" if attempts > 1 else None,
        leased_until=scenario.now + LEASE,
    )
    if case.but == "lost lease":
        with pytest.raises(SilentDeathError):
            send_notice(scenario, case, notice, ScriptedChannel(SENT, is_lost=True))
        notice = notice._replace(attempts=notice.attempts + 1, last_outcome=None)  # as `take_outbox` does
    channel = ScriptedChannel(case.outcome)
    outbox = send_notice(scenario, case, notice, channel)
    if case.but == "lost lease" and channel.sent:
        return ASKS_AGAIN
    if outbox.postponed_to is not None:
        return again(outbox.postponed_to - scenario.now, counts=False)
    assert outbox.end is not None
    due_at, outcome = outbox.end
    return outcome if due_at is None else again(due_at - scenario.now, counts=True)


def send_notice(scenario: Scenario, case: Case, notice: DueNotice, channel: ScriptedChannel) -> OutboxOfOne:
    outbox = OutboxOfOne(notice)
    terms = make_campaign_terms(remind_days=5, quiet_hours=QUIET_HOURS if case.but == "quiet" else None)
    count = NoticeSender(
        outbox,
        scenario.reservation,
        make_steps(scenario, case, LEASE),
        channel,
        cooldowns=resting(case),
        rules=ReminderRules(OptedOut(everyone=case.but == "opted out"), lambda _: terms),
    ).run()
    assert count == 1
    return outbox


# --- Removals of access ---


class AccessOfOne:
    lease = timedelta(seconds=REMOVAL_LEASE_S)

    def __init__(self) -> None:
        self.lost_attempt: int | None = None

    def take(self, now: datetime, limit: int = 0) -> list[LeasedAccess]:
        raise AssertionError(now, limit)

    def hold(self, reservation_ids: Sequence[UUID], _now: datetime) -> list[LeasedAccess]:
        return [LeasedAccess(reservation_id, self.lost_attempt) for reservation_id in reservation_ids]

    def begin_removal(self, _reservation_id: UUID, attempt: int, _leased_at: datetime) -> bool:
        self.lost_attempt = attempt
        return True

    def give_back(self, reservation_ids: Sequence[UUID], _leased_at: datetime, recorded_ids: Collection[UUID]) -> None:
        if {*reservation_ids} & {*recorded_ids}:
            self.lost_attempt = None

    def find_impossible(self, _now: datetime) -> list[UUID]:
        """The clock runs forward."""
        return []


def judge_removal(case: Case) -> str:
    scenario = ScenarioWithoutJitter(group=GROUP, validity_days=VALIDITY_DAYS)
    reservation_id = scenario.sent()
    scenario.passes(VALIDITY_DAYS * 86_400)
    rows = AccessOfOne()
    for _ in range((case.attempt or scenario.policy.removal_attempts_max) - 1):
        remove(scenario, rows, Case(case.before), reservation_id, ScriptedChannel(case.before))
        event = scenario.events[-1]
        assert isinstance(event, AccessRemovalFailed)
        assert event.retry_at is not None
        scenario.now = event.retry_at
    if case.but == "old":
        remove(scenario, rows, Case(NO_CONNECTION), reservation_id, ScriptedChannel(NO_CONNECTION))
        scenario.passes(86_400)
    if case.but == "lost lease":
        with pytest.raises(SilentDeathError):
            remove(scenario, rows, case, reservation_id, ScriptedChannel(SENT, is_lost=True))
        scenario.passes(AccessOfOne.lease.total_seconds())
    attempts = attempts_of(scenario, reservation_id)
    channel = ScriptedChannel(case.outcome)
    remove(scenario, rows, case, reservation_id, channel)
    event, access = scenario.events[-1], scenario.reservation(reservation_id).access
    if isinstance(event, AccessRemovalFailed) and event.retry_at is not None:
        return again(event.retry_at - scenario.now, counts=attempts_of(scenario, reservation_id) > attempts)
    if not channel.revoked and access is not None and access.is_removal_due(scenario.now):
        return again(timedelta(0), counts=attempts_of(scenario, reservation_id) > attempts)
    return word_of(event)


def attempts_of(scenario: Scenario, reservation_id: UUID) -> int:
    access = scenario.reservation(reservation_id).access
    return 0 if access is None else access.removal_attempts


def remove(scenario: Scenario, rows: AccessOfOne, case: Case, reservation_id: UUID, channel: ScriptedChannel) -> None:
    steps = make_steps(scenario, case, rows.lease)
    AccessExpirer(
        rows=rows,
        execute=lambda commands: [scenario.run(command) for command in commands],
        addresses=steps.addresses,
        message_factory=steps.message_factory,
        channel=channel,
        by_group=lambda _: {},
        context=lambda: scenario.context("sweep"),
        new_id=scenario.new_id,
        draft_text=draft_text,
        publish=lambda _: None,
        longest_send=steps.longest_send,
        cooldowns=resting(case),
    ).remove([reservation_id], lambda: False)


JUDGES: Final[Mapping[str, Callable[[Case], str]]] = {
    "invitation": judge_invitation,
    "hand-out": judge_hand_out,
    "its reminder": partial(judge_hand_out, is_reminder=True),
    "notice": judge_notice,
    "reminder": partial(judge_notice, is_reminder=True),
    "removal": judge_removal,
}
"""Returns what follows a case, by kind of sending; `reminder` is that of an invitation."""
