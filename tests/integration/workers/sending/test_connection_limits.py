"""Workers and a mail server that limits connections: every invitation is sent, each at its first spent attempt."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import pytest

from projections.storage.bootstrap import LedgerStore
from tests.integration.workers.sending.delivery_rig import count_statuses, reserve_several
from tests.support.channel_builders import MAIL_FROM
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import settings_for
from tests.support.servers.mail_server import MailServer, ReplyWith
from tests.support.waiting import wait_for
from workers.channels.default_channel import open_channel, open_pool
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.invitations import InvitationBatchSender

CONCURRENCY = 16
PROCESSES = 2


@pytest.fixture
def bench(database_url: str) -> Iterator[LedgerBench]:
    """A ledger whose retries come soon."""
    settings = settings_for(database_url).model_copy(update={"retry_first_s": 0.2, "retry_longest_s": 1.0})
    with LedgerStore.open(settings) as storage:
        yield LedgerBench(storage, database_url)


class WorkerProcess:
    """Threads and connections as one worker process has them."""

    def __init__(self, steps: DeliverySteps, url: str, name: str) -> None:
        self._steps = replace(steps, worker=name)
        self._url = url
        self.connections = open_pool(url, CONCURRENCY, lambda _allowed, _open: None, lambda _: None)
        assert self.connections is not None
        self._capacity = self.connections.capacity

    def work(self, ids: Sequence[UUID]) -> None:
        channel = open_channel(self._url, mail_from=MAIL_FROM, timeout_s=60.0, connections=self.connections)
        with ThreadPoolExecutor(CONCURRENCY) as threads:
            InvitationBatchSender(self._steps, threads, CONCURRENCY, lambda: channel, capacity=self._capacity).run(
                ids, "t1", lambda: False
            )


def work_until_settled(bench: LedgerBench, steps: DeliverySteps, url: str, ids: Sequence[UUID]) -> None:
    """Give all that is due to every process, as the sweep does, until nothing is live."""
    processes = [WorkerProcess(steps, url, f"w{number}") for number in range(PROCESSES)]
    with ThreadPoolExecutor(PROCESSES) as threads:

        def work() -> bool:
            list(threads.map(lambda process: process.work(ids), processes))
            return "live" not in count_statuses(bench)

        wait_for(work, lambda: count_statuses(bench))
    for process in processes:
        assert process.connections is not None
        process.connections.drop_idle()


def attempts(bench: LedgerBench) -> set[int]:
    return {row[0] for row in bench.rows("SELECT attempts FROM reservations")}


def test_all_invitations_are_sent_when_the_server_limits_connections(bench: LedgerBench, steps: DeliverySteps) -> None:
    ids = reserve_several(bench, 30)
    with MailServer(connections_max=2) as server:
        work_until_settled(bench, steps, server.url, ids)

        assert len(set(server.message_ids())) == len(server.received) == 30
        assert server.most_at_once <= 2
    assert count_statuses(bench) == {"sent": 30}
    assert attempts(bench) == {1}


def test_all_invitations_are_sent_when_the_server_limits_the_rate_of_connections(
    bench: LedgerBench, steps: DeliverySteps
) -> None:
    """One connection at a time, and six in five seconds: a connection carries many messages."""
    ids = reserve_several(bench, 12)
    with MailServer(connections_max=1, connections_rate=(6, 5.0)) as server:
        work_until_settled(bench, steps, server.url, ids)

        assert len(set(server.message_ids())) == len(server.received) == 12
    assert count_statuses(bench) == {"sent": 12}
    assert attempts(bench) == {1}


def test_invitations_leaves_a_message_due_while_the_server_lets_no_connection_in(
    bench: LedgerBench, steps: DeliverySteps
) -> None:
    """One attempt finds it out and is undone; the others are not even claimed, and the next message claims none."""
    ids = reserve_several(bench, 40)
    with MailServer() as server:
        server.at("banner", ReplyWith(421, "too many connections"))
        process = WorkerProcess(steps, server.url, "w1")
        process.work(ids)
        begun = bench.rows("SELECT count(*) FROM ledger_events WHERE topic = 'InviteAttempted:1'")[0][0]
        process.work(ids)

    assert begun <= CONCURRENCY
    assert bench.rows("SELECT count(*) FROM ledger_events WHERE topic = 'InviteAttempted:1'") == [(begun,)]
    assert count_statuses(bench) == {"live": 40}
    assert attempts(bench) == {0}
