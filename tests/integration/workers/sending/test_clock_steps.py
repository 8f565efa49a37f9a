"""Invariant 15: after the database's clock was ahead and came back, nothing waits until it is there again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.use_cases.administration.batch_runner import LEASE_S
from domain.application import settle_revoked_code
from domain.commands.access.settle_access import RecordRemovalOutcome
from domain.commands.code.issue import IssueCode
from domain.commands.code.revoke import RevokeCode
from domain.commands.context import CommandContext
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.reservation.refund import RefundReservation
from domain.ports import Rejected, RetryLater
from domain.values.identifiers import generate_code
from projections.repositories.issue_batches import BatchKind, BatchRepository, NewBatch
from projections.storage.bootstrap import LedgerStore
from projections.storage.revocation_queue import settle_next_revocations
from projections.transparency_log.checkpoints import derive_signing_key, sign_head
from projections.transparency_log.tile_log import append_hashed
from projections.work_queue.due_access import TAKEN_MAX, DueAccessRows
from projections.work_queue.due_reservations import DueRows
from projections.work_queue.outbox import OutboxRows
from projections.work_queue.scheduler_lease import SchedulerLease
from tests.integration.workers.sending.hand_out_rig import HandOutRig, people
from tests.support.delivery import deliver
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, done
from tests.support.ledger.settings import settings_for
from tests.support.ledger.webhook_bench import WebhookBench
from tests.support.servers.stepped_clock import SteppedClock
from tests.support.servers.webhook_receiver import ScriptedReply, WebhookReceiver
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.due_sweep import sweep
from workers.sending.message_factory import MessageFactory
from workers.sending.notices import NoticeSender
from workers.sending.removals import AccessExpirer

BUSY = Rejected(server="mx:25", reason="temporary", final=False)
REFUSED = Rejected(server="mx:25", reason="refused", final=True)
IDS = ["an-hour", "an-hour-and-restart", "two-days", "two-days-and-restart"]
HOUR, TWO_DAYS = timedelta(hours=1), timedelta(days=2)


@dataclass
class SteppedLedger:
    """A ledger on a database whose clock steps, and its workers."""

    clock: SteppedClock
    bench: LedgerBench
    channel: FakeChannel

    def step(self, ahead: timedelta) -> None:
        """Step the clock of the database; the processes ask for the time."""
        self.clock.set_ahead(ahead)
        with self.bench.storage.datastore.get_connection() as conn:
            self.bench.storage.recorder.clock.refresh(conn)

    @property
    def steps(self) -> DeliverySteps:
        storage = self.bench.storage
        return DeliverySteps(
            execute=storage.ledger.execute,
            addresses=self.bench.reader.find_recipients,
            message_factory=MessageFactory(b"secret", "http://127.0.0.1:8000", "ledger.example"),
            draft_text=lambda text, reservation_id: storage.vault.seal_text(text, uuid4(), reservation_id),
            now=storage.recorder.clock.now,
            new_id=uuid4,
            worker="w1",
        )

    def reserve(self, email: str = "li@example.com") -> UUID:
        return done(self.bench.redeem(self.bench.issue(), email)).require_reservation().reservation_id

    def claim(self, reservation_id: UUID) -> None:
        """Lease an attempt, as a worker that dies then."""
        context = self.bench.context("worker", "lost")
        done(
            self.bench.run(
                ClaimAttempt(context=context, reservation_id=reservation_id, channel="fake", case_id=uuid4())
            )
        )

    def sign(self) -> bool:
        """Sign the head of the log, if it is time."""
        with self.bench.storage.datastore.get_connection() as conn:
            append_hashed(conn)
            key = derive_signing_key(self.bench.storage.vault.rings["master"])
            return sign_head(conn, key, self.bench.storage.recorder.clock.now()) is not None

    def withdraw(self, reservation_id: UUID) -> None:
        """Refund a use, and end its access."""
        context = self.bench.context("staff")
        refund = RefundReservation(context=context, reservation_id=reservation_id, cause="staff", revoke_access=True)
        done(self.bench.run(refund))

    def rig(self, campaign_id: UUID) -> HandOutRig:
        now = self.bench.storage.recorder.clock.now()
        return HandOutRig(self.bench, self.steps, self.channel, now, campaign_id)

    def sweep(self) -> None:
        """Run everything that beat sends to a worker once."""

        def send(ids: Sequence[UUID]) -> None:
            for reservation_id in ids:
                deliver(self.steps, reservation_id, self.channel, "t1")

        def context() -> CommandContext:
            return self.bench.context("sweep")

        storage = self.bench.storage
        settle_next_revocations(
            storage, context().now, lambda key: settle_revoked_code(storage.ledger.execute, key, context, uuid4)
        )
        sweep(DueRows(storage), storage.ledger.execute, send, context(), uuid4)
        NoticeSender(OutboxRows(storage), self.bench.reader.find_reservation, self.steps, self.channel).run()
        AccessExpirer(
            rows=DueAccessRows(storage),
            execute=storage.ledger.execute,
            addresses=self.bench.reader.find_recipients,
            message_factory=self.steps.message_factory,
            channel=self.channel,
            by_group=lambda _: {},
            context=context,
            new_id=uuid4,
            draft_text=self.steps.draft_text,
            publish=send,
        ).work(lambda: False)

    def sent(self) -> set[UUID]:
        return {key for (key,) in self.bench.rows("SELECT reservation_id FROM reservations WHERE status = 'sent'")}


OpenLedger = Callable[[], AbstractContextManager[SteppedLedger]]


@pytest.fixture
def open_ledger(database_url: str) -> OpenLedger:
    clock = SteppedClock(database_url)

    @contextmanager
    def open_once() -> Iterator[SteppedLedger]:
        with LedgerStore.open(settings_for(database_url)) as storage:
            yield SteppedLedger(clock, LedgerBench(storage, database_url), FakeChannel())

    return open_once


@dataclass
class ClockStep:
    """The clock is ahead for some time, after which the processes go on or start again."""

    open: OpenLedger
    ahead: timedelta
    is_restarted: bool

    @contextmanager
    def after(self, use: Callable[[SteppedLedger], Any]) -> Iterator[tuple[SteppedLedger, Any]]:
        """Use a ledger while its clock is ahead, and yield it with what that returned once the clock is right."""
        with self.open() as ledger:
            ledger.step(self.ahead)
            left = use(ledger)
            ledger.step(timedelta())
            if not self.is_restarted:
                yield ledger, left
        if self.is_restarted:
            with self.open() as ledger:
                yield ledger, left


@pytest.fixture(params=[(HOUR, False), (HOUR, True), (TWO_DAYS, False), (TWO_DAYS, True)], ids=IDS)
def step(request: pytest.FixtureRequest, open_ledger: OpenLedger) -> ClockStep:
    return ClockStep(open_ledger, *request.param)


@pytest.fixture(params=[HOUR, TWO_DAYS], ids=IDS[::2])
def step_of_running(request: pytest.FixtureRequest, open_ledger: OpenLedger) -> ClockStep:
    """Without a restart."""
    return ClockStep(open_ledger, request.param, is_restarted=False)


def test_invitations_go_out_when_the_clock_came_back(step: ClockStep) -> None:
    """Reserved, failed, deferred and leased ones; and those of a code whose stream stays ahead."""

    def use(ledger: SteppedLedger) -> tuple[set[UUID], UUID]:
        reserved, failed, deferred, leased = (ledger.reserve() for _ in range(4))
        ledger.bench.attempt(failed, BUSY, channel="fake")
        later = RetryLater(server="team", reason="full", wait=timedelta(minutes=5))
        ledger.bench.attempt(deferred, later, channel="fake")
        ledger.claim(leased)
        return {reserved, failed, deferred}, leased

    with step.after(use) as (ledger, (due, leased)):
        for _ in range(2):
            ledger.sweep()
        assert ledger.sent() == due
        ledger.step(timedelta(seconds=10))  # after the back-off of an attempt with an unknown outcome
        ledger.sweep()
        assert ledger.sent() == {*due, leased}
        assert_no_drift(ledger.bench)


def test_code_takes_new_reservations_as_usual_while_its_stream_is_ahead(step_of_running: ClockStep) -> None:
    """Their waits count from the right time: a deadline, a lease that ended, and the wait for a channel."""

    def use(ledger: SteppedLedger) -> str:
        code = ledger.bench.issue(None, bound=False)
        ledger.bench.redeem(code, "li@example.com")
        return code

    with step_of_running.after(use) as (ledger, code):
        ids = [
            done(ledger.bench.redeem(code, f"p{nth}@example.com")).require_reservation().reservation_id
            for nth in range(3)
        ]
        now = ledger.bench.storage.recorder.clock.now()
        later = RetryLater(server="team", reason="full", wait=timedelta(hours=2))
        ledger.bench.attempt(ids[0], later, channel="fake")
        ledger.claim(ids[1])
        ledger.step(timedelta(seconds=3))  # the sweep leaves a new reservation to its first message
        ledger.sweep()
        ((deadline, lease),) = ledger.bench.rows(
            "SELECT max(deadline) FILTER (WHERE NOT is_deferred), max(lease_until) FROM reservations"
            " WHERE reservation_id = ANY(%s)",
            ids,
        )
        assert now < deadline < now + timedelta(hours=1)
        assert now < lease < now + timedelta(minutes=5)
        assert ids[0] not in ledger.sent()  # as its channel asked
        assert ids[1] not in ledger.sent()  # another worker has it
        assert ids[2] in ledger.sent()
        assert len(ledger.channel.sent) == 2


def test_reservation_made_ahead_is_refunded_at_its_deadline(step_of_running: ClockStep) -> None:
    """If nothing could be sent until then, half an hour after the clock was right."""
    with step_of_running.after(lambda ledger: ledger.reserve()) as (
        ledger,
        reservation_id,
    ):
        unreachable = Rejected(server="mx:25", reason="unreachable", final=False, about_connection=True)
        ledger.channel.always("li@example.com", unreachable)
        ledger.sweep()
        ledger.step(timedelta(minutes=31))
        ledger.sweep()

        states = ledger.bench.rows("SELECT status, refund_cause FROM reservations")
        assert states == [("refunded", "deadline")], reservation_id
        assert_no_drift(ledger.bench)


def test_notices_revocations_and_removals_continue_after_the_clock_came_back(step: ClockStep) -> None:
    """A notice that a lost worker leased, a revoked code that one was settling, and a removal that failed."""

    def use(ledger: SteppedLedger) -> None:
        bench = ledger.bench
        refused = ledger.reserve("mei@example.com")
        bench.attempt(refused, REFUSED, channel="fake")
        assert OutboxRows(bench.storage).take(bench.storage.recorder.clock.now()) is not None
        code_id = bench.reader.find_code(bench.issue())
        assert code_id is not None
        done(bench.run(RevokeCode(context=bench.context("staff"), code_id=code_id, case_ids=[uuid4()])))
        with bench.storage.datastore.get_connection() as conn:
            again_at = bench.storage.recorder.clock.now() + timedelta(seconds=30)
            conn.execute("INSERT INTO revocations VALUES (%s, %s)", (code_id, again_at))
        granted = ledger.reserve("wang@example.com")
        bench.attempt(granted, channel="team")
        ledger.withdraw(granted)
        removal = RecordRemovalOutcome(
            context=bench.context("worker"),
            reservation_id=granted,
            attempt=1,
            channel="team",
            outcome=BUSY,
            case_id=uuid4(),
        )
        done(bench.run(removal))
        assert ledger.sign()

    with step.after(use) as (ledger, _):
        for _ in range(2):
            ledger.sweep()
        templates = [message.template for message in ledger.channel.sent]
        assert (templates, len(ledger.channel.revoked)) == (["refund_notice"], 1)
        assert ledger.bench.rows("SELECT count(*) FROM revocations") == [(0,)]


@pytest.mark.parametrize("step", [(TWO_DAYS, False), (TWO_DAYS, True)], indirect=True)
def test_removal_waits_for_no_access_that_was_granted_while_the_clock_was_ahead(step: ClockStep) -> None:
    """However many there are, nothing about them is due: one look takes a bounded number."""

    def use(ledger: SteppedLedger) -> None:
        bench = ledger.bench
        text, code_id = generate_code(bench.random_source), uuid4()
        issue = IssueCode(
            context=bench.context("operator"),
            code_id=code_id,
            text=bench.storage.vault.draft_code(text, code_id),
            terms=make_terms(max_uses=None, validity_days=30),
            bound=False,
        )
        done(bench.run(issue))
        for nth in range(TAKEN_MAX + 1):
            reservation = done(bench.redeem(text, f"p{nth}@example.com")).require_reservation()
            bench.attempt(reservation.reservation_id)
        removed = ledger.reserve("wang@example.com")
        bench.attempt(removed)
        ledger.withdraw(removed)
        assert ledger.sign()

    with step.after(use) as (ledger, _):
        ledger.sweep()
        assert [removal.cause for removal in ledger.channel.revoked] == ["withdrawn"]


@pytest.mark.parametrize("kind", ["issue", "import"])
def test_batch_waits_for_no_runner_that_ended_while_the_clock_was_ahead(step: ClockStep, kind: BatchKind) -> None:
    """One that is at work renews its lease within a minute; otherwise another continues, or the import is broken."""

    def use(ledger: SteppedLedger) -> NewBatch:
        now = ledger.bench.storage.recorder.clock.now()
        batch = NewBatch(
            batch_id=uuid4(),
            kind=kind,
            staff_id=uuid4(),
            prefix="",
            terms=make_terms(),
            bound=True,
            wanted=1,
            note=None,
            runner=uuid4(),
            lease_until=now + timedelta(seconds=LEASE_S),
        )
        assert BatchRepository(ledger.bench.storage).insert(batch, now)
        return batch

    with step.after(use) as (ledger, batch):
        batches, successor = BatchRepository(ledger.bench.storage), uuid4()

        def claim() -> bool:
            now = ledger.bench.storage.recorder.clock.now()
            return batches.claim(successor, now, now + timedelta(seconds=LEASE_S)) is not None

        ledger.sweep()
        early = claim()
        ledger.step(timedelta(seconds=LEASE_S + 1))

        assert (early, claim()) == (False, kind == "issue")
        stored = batches.find(batch.batch_id)
        assert stored is not None
        assert stored.state == ("working" if kind == "issue" else "broken")


@pytest.mark.parametrize("per_minute", [None, 60], ids=["no-rate", "rate"])
def test_hand_out_continues_after_the_clock_came_back(step: ClockStep, per_minute: int | None) -> None:
    """Rows of a list that was uploaded, of which a worker that died leased some, at the rate of the hand-out."""

    def use(ledger: SteppedLedger) -> UUID:
        campaign_id = ledger.bench.create_campaign()
        rig = ledger.rig(campaign_id)
        rig.add(rig.create(per_minute), *people(4))
        assert len(rig.sender().queue.take(rig.now, 1)) == 1
        return campaign_id

    with step.after(use) as (ledger, campaign_id):
        rig = ledger.rig(campaign_id)
        ledger.sweep()
        for _ in range(2):
            rig.send()
            rig.passes(seconds=10)
        assert sorted(message.recipient.typed for message in ledger.channel.sent) == people(4)


def test_message_deferred_by_the_wrong_clock_is_sent(step: ClockStep) -> None:
    """A notice and an email of a hand-out: written by the right clock, and deferred by the one that was ahead."""
    asked = timedelta(hours=2)

    def use(ledger: SteppedLedger) -> UUID:
        ledger.step(timedelta())
        ledger.bench.attempt(ledger.reserve("mei@example.com"), REFUSED, channel="fake")
        campaign_id = ledger.bench.create_campaign()
        rig = ledger.rig(campaign_id)
        rig.add(rig.create(), "li@example.com")
        ledger.step(step.ahead)
        ledger.channel.always("mei@example.com", RetryLater(server="team", reason="full", wait=asked))
        ledger.channel.always("li@example.com", RetryLater(server="team", reason="full", wait=asked))
        ledger.sweep()
        ledger.rig(campaign_id).send()
        assert [message.recipient.typed for message in ledger.channel.sent] == ["mei@example.com", "li@example.com"]
        return campaign_id

    with step.after(use) as (ledger, campaign_id):
        ledger.channel = FakeChannel()
        for _ in range(2):
            ledger.sweep()
        ledger.rig(campaign_id).send()
        assert sorted(message.recipient.typed for message in ledger.channel.sent) == [
            "li@example.com",
            "mei@example.com",
        ]


def test_message_deferred_by_the_right_clock_waits(open_ledger: OpenLedger) -> None:
    """As long as the channel asked for, also after a step: nothing is brought back that can be."""
    with open_ledger() as ledger:
        ledger.bench.attempt(ledger.reserve("mei@example.com"), REFUSED, channel="fake")
        later = RetryLater(server="team", reason="full", wait=timedelta(hours=2))
        ledger.channel.always("mei@example.com", later)
        for _ in range(2):
            ledger.sweep()
        assert len(ledger.channel.sent) == 1


def test_webhooks_are_delivered_when_the_clock_came_back(step: ClockStep) -> None:
    """A message that was refused, an endpoint in backoff, and one that a lost process leased."""
    with WebhookReceiver() as server, WebhookReceiver() as other:

        def use(ledger: SteppedLedger) -> None:
            hooks = WebhookBench(ledger.bench)
            hooks.endpoint(server, "CodeIssued")
            hooks.endpoint(other, "CodeIssued")
            ledger.bench.issue()
            for receiver in (server, other):
                receiver.then(ScriptedReply(503))
            hooks.deliver()
            now = hooks.now()
            deliverer = hooks.deliverer()
            ledger.bench.rows(
                "UPDATE webhook_endpoints SET runner = %s, lease_until = %s WHERE url = %s RETURNING 1",
                deliverer.runner,
                now + timedelta(seconds=120),
                other.url,
            )

        with step.after(use) as (ledger, _):
            ledger.sweep()
            WebhookBench(ledger.bench).deliver()
            assert [len(receiver.received) for receiver in (server, other)] == [2, 2]


@pytest.mark.parametrize("is_same_beat", [False, True], ids=["beat-died-while-ahead", "same-beat"])
def test_schedule_continues_after_the_clock_came_back(step_of_running: ClockStep, is_same_beat: bool) -> None:
    """The lease of a beat that died is taken over, and each task is due."""
    with step_of_running.open() as ledger:
        numbers = iter(range(0, 1000, 10))
        first, second = (
            SchedulerLease(ledger.bench.database_url, f"host:{nth}", UUID(int=nth), lambda: float(next(numbers)))
            for nth in (1, 2)
        )
        ledger.step(step_of_running.ahead)
        assert first.hold()
        assert first.claim_runs({"sweep": 3.0})
        ledger.step(timedelta())

        beat = first if is_same_beat else second
        assert beat.hold()
        assert [beat.claim_runs({"sweep": 3.0}) for _ in range(2)] == [{"sweep"}, set()]
        assert not (second if is_same_beat else first).hold()
        for each in (first, second):
            each.close()


def test_log_is_signed_when_the_clock_came_back(step_of_running: ClockStep) -> None:
    """A checkpoint in the future delays none; the next one is signed a minute later, as always."""

    def sign(ledger: SteppedLedger) -> bool:
        ledger.bench.issue()
        return ledger.sign()

    with step_of_running.after(sign) as (ledger, is_signed):
        assert is_signed
        assert [sign(ledger), sign(ledger)] == [True, False]
