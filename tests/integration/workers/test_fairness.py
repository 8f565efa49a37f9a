"""Kinds of sending do not hold each other up: the tasks of a worker, over a ledger and a mail server that notes order.

Each test counts messages or reads their order; none of them measures time.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import ModuleType
from uuid import UUID, uuid4

import pytest

from domain.ports import Rejected
from projections.repositories.webhook_endpoints import WebhookEndpointRepository
from projections.work_queue.due_reservations import GRACE_S
from projections.work_queue.outbox import BUSY_S
from tests.integration.workers.sending.access_rig import AccessRig
from tests.integration.workers.sending.hand_out_rig import HandOutRig
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.servers.mail_server import MailServer
from tests.support.servers.mail_session import ReceivedMessage
from tests.support.servers.webhook_receiver import ScriptedReply, WebhookReceiver
from tests.support.waiting import wait_for
from workers.celery_ext.min_interval import MinInterval
from workers.monitoring.broker_loss import BrokerLossDetector
from workers.runtime import Runtime
from workers.sending.notices import TAKEN_MAX
from workers.settings import WorkerSettings
from workers.webhooks.deliverer import ENDPOINTS_AT_ONCE

NO_BROKER = "redis://127.0.0.1:1/0"
TOO_BIG = Rejected(server="mx:25", reason="message_refused", final=True, reply_code=552)


class OrderedMailServer(MailServer):
    """A mail server that calls the test with each message before it accepts it."""

    def __init__(self) -> None:
        self.look: Callable[[], object] = lambda: None
        super().__init__()

    def take(self, message: ReceivedMessage) -> None:
        self.look()
        super().take(message)


@dataclass
class WorkerRig:
    runtime: Runtime
    server: OrderedMailServer
    tasks: ModuleType
    bench: LedgerBench
    published: list[UUID] = field(default_factory=list)

    def invite(self) -> UUID:
        return done(self.bench.redeem(self.bench.issue(), "invited@example.com")).require_reservation().reservation_id

    def age_invitations(self, seconds: float) -> None:
        query = "UPDATE reservations SET due_at = due_at - %s WHERE status = 'live' AND due_at IS NOT NULL RETURNING 1"
        assert self.bench.rows(query, timedelta(seconds=seconds))

    def delay_invitations(self) -> None:
        """Let invitations have been due for longer than retries take."""
        self.age_invitations(BUSY_S + 5)

    def notify(self, count: int = 1) -> None:
        for number in range(count):
            reserved = done(self.bench.redeem(self.bench.issue(), f"{number}.notified@example.com"))
            self.bench.attempt(reserved.require_reservation().reservation_id, TOO_BIG)

    def list_people(self, count: int = 1) -> None:
        now = self.bench.storage.recorder.clock.now()
        rig = HandOutRig(self.bench, self.runtime.steps, FakeChannel(), now, self.bench.create_campaign())
        rig.add(rig.create(), *(f"{number}.listed@example.com" for number in range(count)))

    def end_access(self) -> None:
        """An access that has ended, and whose recipient is to be notified because emails remove nothing."""
        past = self.bench.storage.recorder.clock.now() - timedelta(days=2)
        access = AccessRig(self.bench, self.runtime.steps, FakeChannel(), past)
        access.grant_access(access.issue(days=1, group=None), "ended@example.com")

    def subscribe(self, receiver: WebhookReceiver) -> None:
        endpoints = WebhookEndpointRepository(self.bench.storage)
        endpoints.insert(uuid4(), receiver.url, (), 1, uuid4(), self.bench.storage.recorder.clock.now())

    def run_invitations(self, reservation_ids: Sequence[UUID]) -> list[str]:
        """Run the task that a wake-up message starts; as `run`."""
        return self.run("process_invite_task", list(map(str, reservation_ids)))

    def run(self, name: str, *arguments: object) -> list[str]:
        """Run a task; the recipients of the emails that it sent, in order."""
        before = len(self.server.received)
        getattr(self.tasks, name)(*arguments)
        recipients = [str(one.message["To"]) for one in self.server.received[before:]]
        return [recipient.rpartition(".com")[0].rpartition("@")[0].rpartition(".")[2] for recipient in recipients]


@pytest.fixture
def server() -> Iterator[OrderedMailServer]:
    with OrderedMailServer() as running:
        yield running


@pytest.fixture
def rig(database_url: str, server: OrderedMailServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerRig]:
    """A worker with one send slot, whose clock stands still: nothing is overdue because a test took long."""
    for name in ("PEPPERS", "MASTER_KEYS"):
        monkeypatch.setenv(f"LEDGER_{name}", "1:" + base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("LEDGER_SECRET_KEY", "test")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("REDIS_URL", NO_BROKER)
    from workers import tasks  # noqa: PLC0415 - it reads its settings when it is imported

    chosen = {"smtp_url": server.url, "send_concurrency": 1, "webhook_allow_private": "127.0.0.0/8"}
    shared = settings_for(database_url).model_dump(by_alias=True)
    runtime = Runtime.build(WorkerSettings.model_validate({**shared, **chosen, "REDIS_URL": NO_BROKER}))
    clock = runtime.storage.recorder.clock
    stopped_at = clock._monotonic()
    monkeypatch.setattr(clock, "_monotonic", lambda: stopped_at)
    monkeypatch.setattr(clock, "is_stale", lambda: False)
    rig = WorkerRig(runtime, server, tasks, LedgerBench(runtime.storage, database_url))
    monkeypatch.setattr(tasks._ProcessState, "runtime", runtime)
    monkeypatch.setattr(tasks, "publish_ids", rig.published.extend)
    monkeypatch.setattr(tasks, "BROKER", BrokerLossDetector(NO_BROKER))
    for pace in ("SWEEPS", "HAND_OUTS", "WEBHOOKS"):
        monkeypatch.setattr(tasks, pace, MinInterval(0))
    yield rig
    runtime.close()


@pytest.mark.parametrize("name", ["send_hand_outs", "sweep_due_reservations"])
def test_others_wait_while_invitations_are_overdue(rig: WorkerRig, name: str) -> None:
    """A minute of emails to a list, or of notices, would make more invitations miss their deadline."""
    rig.list_people()
    rig.notify()
    reservation_id = rig.invite()
    rig.delay_invitations()

    first = rig.run(name)
    invited = rig.run_invitations([reservation_id])

    assert (first, invited) == ([], ["invited"])
    assert rig.run(name) == ["listed" if name == "send_hand_outs" else "notified"]


def test_invitations_that_are_due_delay_no_other_kind(rig: WorkerRig) -> None:
    """Retries come within seconds: only what is overdue for longer than they take makes others wait."""
    rig.list_people()
    rig.notify()
    rig.invite()

    assert [rig.run("send_hand_outs"), rig.run("sweep_due_reservations")] == [["listed"], ["notified"]]


@pytest.mark.parametrize("name", ["send_hand_outs", "sweep_due_reservations"])
def test_run_ends_once_invitations_are_overdue(rig: WorkerRig, name: str) -> None:
    """It asks before each batch and each notice; what is left stays due, and has no lease."""
    rig.list_people(3)
    rig.notify(3)
    rig.invite()
    rig.server.look = rig.delay_invitations

    first = rig.run(name)

    due = "SELECT count(*) FROM {} WHERE due_at <= clock_timestamp() AND attempts = 0"
    table = "hand_out_recipients" if name == "send_hand_outs" else "outbox"
    assert len(first) == 1
    assert rig.bench.rows(due.format(table)) == [(2,)]


def test_sweep_sends_a_bounded_number_of_notices(rig: WorkerRig) -> None:
    """The next one is seconds away, and invitations and retries wait for the same processes."""
    rig.notify(TAKEN_MAX + 1)

    first, second = rig.run("sweep_due_reservations"), rig.run("sweep_due_reservations")

    assert len(first) <= TAKEN_MAX
    assert second


def test_sweep_that_fails_to_report_ends_has_sent_notices(rig: WorkerRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in reports stops no other kind."""
    rig.notify()

    def fail(_now: datetime) -> list[UUID]:
        raise ZeroDivisionError

    monkeypatch.setattr(rig.runtime.end_reporter.rows, "find_codes", fail)
    with pytest.raises(ZeroDivisionError):
        rig.run("sweep_due_reservations")
    assert len(rig.server.received) == 1


def test_sweep_wakes_workers_for_invitations_before_it_sends_notices(rig: WorkerRig) -> None:
    """A mail server that is slow with notices delays no wake-up message."""
    rig.notify()
    reservation_id = rig.invite()
    rig.age_invitations(GRACE_S + 1)
    published_before_notices: list[UUID] = []
    rig.server.look = lambda: published_before_notices.extend(rig.published)

    assert rig.run("sweep_due_reservations") == ["notified"]
    assert published_before_notices == [reservation_id]


def test_removals_go_on_while_invitations_are_overdue(rig: WorkerRig) -> None:
    """An invitation may wait for the removal of another access."""
    rig.end_access()
    rig.invite()
    rig.delay_invitations()

    assert rig.run("cleanup_expired_users") == ["ended"]


def test_webhooks_go_on_while_invitations_are_overdue(rig: WorkerRig) -> None:
    """They have threads of their own, and take no send slot."""
    with WebhookReceiver() as receiver:
        rig.subscribe(receiver)
        rig.notify()
        rig.invite()
        rig.delay_invitations()

        assert rig.run("deliver_webhooks") == []
        wait_for(lambda: receiver.received)


def test_stalled_webhook_endpoints_hold_no_send_slot(rig: WorkerRig) -> None:
    """Each thread of the deliverer waits for one that does not respond, and every kind of email is sent."""
    with WebhookReceiver() as silent:
        silent.always = ScriptedReply(first=silent.hang)
        for _ in range(ENDPOINTS_AT_ONCE + 1):
            rig.subscribe(silent)
        rig.end_access()
        rig.notify()
        rig.list_people()
        reservation_ids = [rig.invite() for _ in range(3)]
        rig.run("deliver_webhooks")
        wait_for(lambda: len(silent.received) == ENDPOINTS_AT_ONCE)
        rig.run("deliver_webhooks")

        assert rig.run_invitations(reservation_ids) == ["invited"] * 3
        assert rig.run("send_hand_outs") == ["listed"]
        assert rig.run("sweep_due_reservations") == ["notified"]
        assert rig.run("cleanup_expired_users") == ["ended"]
        assert len(silent.received) == ENDPOINTS_AT_ONCE
        silent.let_go()
