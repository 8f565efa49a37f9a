"""The pool gives out only live connections, and none of another process."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Self

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from api.cli.embedded.bounded_wait import wait_until
from projections.database.datastore import LedgerDatastore
from projections.database.pipeline import BufferingConnection
from projections.database.pool import ForkedPoolError
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX


def hang_up(bench: LedgerBench) -> int:
    """The server ends every connection of the pool, as a restart does; how many."""
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        query = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return conn.execute(query).rowcount


def fill(bench: LedgerBench) -> None:
    """Open every connection that the pool may have."""
    pool = bench.storage.datastore.pool
    connections = [pool.getconn() for _ in range(pool.max_size)]
    for conn in connections:
        pool.putconn(conn)


def test_pool_replaces_dead_connections_without_failed_requests(bench: LedgerBench) -> None:
    """Reads and writes right after a server came back succeed the first time: an answer is no longer refused."""
    code = bench.issue(5, bound=False)
    first = done(bench.redeem(code, "a@example.com")).require_reservation().reservation_id
    fill(bench)
    ended = [hang_up(bench)]
    read = bench.reader.find_reservation(first)
    fill(bench)
    ended.append(hang_up(bench))

    written = done(bench.redeem(code, "b@example.com"))

    assert ended == [bench.storage.datastore.pool.max_size] * 2
    assert (read is not None, written.changed) == (True, True)


def test_connection_lent_after_all_others_were_dead_is_watched(bench: LedgerBench) -> None:
    """A server that freezes while it is in use must be noticed for it as for any other."""
    pool = bench.storage.datastore.pool
    fill(bench)
    hang_up(bench)
    conn = pool.getconn()
    try:
        assert pool.list_used(0.0) == [conn]
    finally:
        pool.putconn(conn)


def test_pool_connects_again_after_an_outage_that_filled_its_queue(database_url: str) -> None:
    """Callers that gave up take no places, so the next one makes the pool connect."""
    is_down = True

    class OutageConnection(BufferingConnection):
        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Self:
            if is_down:
                raise psycopg.OperationalError("connection refused")
            return super().connect(conninfo, **options)

    datastore = LedgerDatastore(database_url, pool_size=1, wait_s=0.01, connection_class=OutageConnection)
    pool = datastore.pool
    pool.open()
    for _ in range(pool.max_waiting + 1):
        with pytest.raises(PoolTimeout):
            pool.getconn()
    assert wait_until(lambda: pool.get_stats()["pool_size"] == 0, WAIT_S_MAX), "it still tries to connect"

    is_down = False
    conn = pool.getconn(timeout=WAIT_S_MAX)
    pool.putconn(conn)
    datastore.close()


def in_a_child(work: Callable[[], object]) -> str:
    """What became of some work in a forked child: returned, or the name of what it raised; hung if it did not end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            work()
            outcome = "returned"
        except BaseException as error:  # noqa: BLE001 - told to the parent
            outcome = type(error).__name__
        os.write(writing, outcome.encode())
        os._exit(0)
    os.close(writing)
    ends = time.monotonic() + WAIT_S_MAX
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > ends:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "hung"
        time.sleep(0.02)
    with os.fdopen(reading) as said:
        return said.read()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_gets_an_error_instead_of_hanging(bench: LedgerBench) -> None:
    """Reading, writing and closing; the parent's connections are not touched. A ledger of its own works."""
    code = bench.issue(5, bound=False)
    first = done(bench.redeem(code, "a@example.com")).require_reservation().reservation_id

    def own() -> None:
        with LedgerStore.open(settings_for(bench.database_url)) as storage:
            assert LedgerBench(storage, bench.database_url).reader.find_reservation(first)

    outcomes = [
        in_a_child(lambda: bench.reader.find_reservation(first)),
        in_a_child(lambda: bench.redeem(code, "b@example.com")),
        in_a_child(bench.storage.close),
        in_a_child(own),
    ]

    assert outcomes == [ForkedPoolError.__name__, ForkedPoolError.__name__, "returned", "returned"]
    assert done(bench.redeem(code, "c@example.com")).changed
