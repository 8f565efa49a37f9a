"""Sending batches: as many messages at once as there are send slots, few commits, and isolated failures."""

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

from domain.command_bus import Command
from domain.events.reservation import InviteSent
from domain.ports import Accepted, OutboundMessage, Outcome
from domain.results import CommandResult
from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import ERRORS
from tests.integration.workers.sending.delivery_rig import count_statuses, reserve_several
from tests.support.channel_builders import MAIL_FROM
from tests.support.fake_channel import FakeChannel
from tests.support.garbage import collect_garbage_of
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.servers.mail_server import MailServer
from tests.support.waiting import WAIT_S_MAX
from workers.channels.smtp.addresses import MailFrom
from workers.channels.smtp.channel import SmtpChannel
from workers.channels.smtp.server_url import SmtpServerUrl
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.invitations import InvitationBatchSender
from workers.sending.loop import wait_for_any

CONCURRENCY = 4


class Post(FakeChannel):
    """A channel for many threads. `look` sees each email before it is accepted."""

    def __init__(self, look: Callable[[OutboundMessage], None] = lambda _: None) -> None:
        super().__init__()
        self.look = look

    def send(self, message: OutboundMessage) -> Outcome:
        self.look(message)
        return super().send(message)

    @property
    def sent_ids(self) -> list[UUID]:
        return [message.reservation_id for message in self.sent]


class Commits:
    """Records the commands of each call of `execute`; fails from one call to another, as a test sets them."""

    def __init__(self, steps: DeliverySteps, fails_from: int = 10**9, fails_until: int = 10**9) -> None:
        self.calls: list[Sequence[Command]] = []
        self.steps = replace(steps, execute=self)
        self._execute = steps.execute
        self._fails_from = fails_from
        self._fails_until = fails_until

    def __call__(self, commands: Sequence[Command]) -> Sequence[CommandResult | Exception]:
        self.calls.append(commands)
        if self._fails_from <= len(self.calls) < self._fails_until:
            raise StorageUnavailableError("away")
        return self._execute(commands)


def work(
    steps: DeliverySteps, post: Post, ids: Sequence[UUID], should_stop: Callable[[], bool] = lambda: False
) -> None:
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        InvitationBatchSender(steps, threads, CONCURRENCY, lambda: post).run(ids, "t1", should_stop)


def test_everything_is_sent_once_in_few_commits(bench: LedgerBench, steps: DeliverySteps) -> None:
    """What ended and what comes next share a commit; ids that come twice are one."""
    ids, post, commits = reserve_several(bench, 40), Post(), Commits(steps)

    work(commits.steps, post, [*ids, *ids])

    assert sorted(post.sent_ids) == sorted(ids)
    assert count_statuses(bench) == {"sent": 40}
    assert sum(map(len, commits.calls)) == 80
    assert len(commits.calls) <= 1 + 40  # one letter at a time, two commits each, would be eighty


def test_sent_invitations_are_freed_without_the_garbage_collector(bench: LedgerBench, steps: DeliverySteps) -> None:
    """Each takes a dozen objects, so collections would cost a part of the worker's CPU time."""
    ids, post = reserve_several(bench, 8), Post()

    garbage = collect_garbage_of(lambda: work(steps, post, ids))

    assert count_statuses(bench) == {"sent": 8}
    assert not garbage & {"Future", "Accepted", "ClaimedDelivery", "Ended", "OutboundMessage", "Reservation"}


def test_no_more_is_claimed_than_is_sent_at_once(bench: LedgerBench, steps: DeliverySteps) -> None:
    holding = threading.Barrier(CONCURRENCY + 1)
    go_on = threading.Event()

    def hold(_: OutboundMessage) -> None:
        if not go_on.is_set():
            holding.wait(WAIT_S_MAX)
            go_on.wait(WAIT_S_MAX)

    ids, post = reserve_several(bench, 10), Post(hold)
    worker = threading.Thread(target=work, args=(steps, post, ids))
    worker.start()
    holding.wait(WAIT_S_MAX)
    leased = bench.rows("SELECT count(*) FROM reservations WHERE lease_until IS NOT NULL")
    go_on.set()
    worker.join(WAIT_S_MAX)

    assert leased == [(CONCURRENCY,)]
    assert count_statuses(bench) == {"sent": 10}


def test_free_hand_goes_on_while_another_waits_for_a_slow_server(bench: LedgerBench, steps: DeliverySteps) -> None:
    ids = reserve_several(bench, 12)
    all_others = threading.Event()

    def slow_for_the_first(message: OutboundMessage) -> None:
        if message.reservation_id == ids[0]:
            assert all_others.wait(WAIT_S_MAX)
        elif len(post.sent_ids) >= len(ids) - 2:
            all_others.set()

    post = Post(slow_for_the_first)
    work(steps, post, ids)

    assert post.sent_ids[-1] == ids[0]
    assert count_statuses(bench) == {"sent": 12}


def test_message_that_can_not_be_rendered_harms_no_other_message(bench: LedgerBench, steps: DeliverySteps) -> None:
    """The defect is counted; its reservation keeps the lease, which the sweep sees lapse."""
    ids = reserve_several(bench, 6)

    def break_one(message: OutboundMessage) -> None:
        if message.reservation_id == ids[2]:
            raise ValueError("a defect")

    before = ERRORS.labels("celery_error")._value.get()
    work(steps, Post(break_one), ids)

    assert count_statuses(bench) == {"sent": 5, "live": 1}
    assert ERRORS.labels("celery_error")._value.get() == before + 1


def test_with_the_database_away_nothing_more_is_claimed(bench: LedgerBench, steps: DeliverySteps) -> None:
    """What was claimed before is sent; its outcome is for leases and sweep to find out."""
    ids, post, commits = reserve_several(bench, 12), Post(), Commits(steps, fails_from=2)

    work(commits.steps, post, ids)

    assert len(post.sent_ids) == CONCURRENCY
    assert count_statuses(bench) == {"live": 12}


def test_outcomes_outlast_a_restart_of_the_database(bench: LedgerBench, steps: DeliverySteps) -> None:
    """What the mail server took is recorded once the database is back: it becomes no doubt and no second mail."""
    ids, post, commits = reserve_several(bench, 12), Post(), Commits(steps, fails_from=2, fails_until=5)

    work(commits.steps, post, ids)

    assert len(post.sent_ids) == CONCURRENCY
    assert count_statuses(bench) == {"sent": CONCURRENCY, "live": 12 - CONCURRENCY}


def test_wait_for_any_returns_finished_and_pending_futures() -> None:
    first, second, third = (Future[Outcome]() for _ in range(3))
    first.set_result(Accepted(server="mx:25"))
    finished, in_progress = wait_for_any({first, second, third})
    second.set_result(Accepted(server="mx:25"))
    third.set_exception(LookupError("bug"))

    assert (finished, in_progress) == ({first}, {second, third})
    assert wait_for_any(in_progress) == ({second, third}, set())


def test_preloaded_codes_spare_claims_their_lookup(bench: LedgerBench) -> None:
    """The code of each reservation of a message is read with one query; unknown reservations are left out."""
    results = [done(bench.redeem(bench.issue(1), f"p{number}@example.com")) for number in range(2)]
    ids = [result.require_reservation().reservation_id for result in results]
    recorder = bench.storage.recorder
    recorder.preload_codes([*ids, uuid4()])

    assert [recorder.caches.newest.codes_of_reservations.get(each) for each in ids] == [
        result.code.code_id for result in results
    ]
    assert len(recorder.caches.newest.codes_of_reservations) == len(ids)


def test_outcome_says_how_long_ago_the_attempt_came_how_far(
    bench: LedgerBench, steps: DeliverySteps, mail_server: MailServer
) -> None:
    """Wake-up, start, outcome, connection, content, by one clock; other channels have the first three."""
    ticks = itertools.count()

    def clock() -> float:
        return next(ticks) / 1000

    server = SmtpServerUrl.parse(mail_server.url)
    measured = replace(steps, clock=clock)
    by_smtp, by_post, unmeasured = reserve_several(bench, 3)
    channel = SmtpChannel(server, sender=MailFrom.parse(MAIL_FROM), timeout_s=60.0, clock=clock)

    with ThreadPoolExecutor(1) as threads:
        InvitationBatchSender(measured, threads, 1, lambda: channel).run([by_smtp], "t1", lambda: False)
        channel.close()
    work(measured, Post(), [by_post])
    work(steps, Post(), [unmeasured])
    histories = bench.reader.read_reservation_events([by_smtp, by_post, unmeasured])
    outcomes = {
        key: event for key, history in histories.items() for _, event in history.events if type(event) is InviteSent
    }

    woken, begun, ended, connected, content = outcomes[by_smtp].ms_ago
    assert woken > begun > connected > content > ended > 0
    assert len(outcomes[by_post].ms_ago) == 3
    assert outcomes[by_post].ms_ago == tuple(sorted(outcomes[by_post].ms_ago, reverse=True))
    assert outcomes[unmeasured].ms_ago == ()
