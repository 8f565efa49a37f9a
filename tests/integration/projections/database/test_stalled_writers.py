"""A process that stops in the middle of writing gives up its locks; one that is slow keeps them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection

from projections.database.connection import connection_options
from projections.database.datastore import LedgerDatastore
from projections.database.stalled_writers import StalledWriterWatch, end_stalled_writers
from projections.event_store.recorder import transaction
from projections.sql.event_store import EventStoreSql
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX, wait_for

SILENT_S = 0.3
LOOKS = 10
SLOW_S = 3.0
"""A machine with much else to do must not make a slow writer look silent."""


@contextmanager
def writing(bench: LedgerBench, code_id: UUID) -> Iterator[Connection[Any]]:
    """A writer's transaction that has sent for the code's lock and doesn't read what comes back."""
    key = int.from_bytes(code_id.bytes[:8], "big", signed=True)
    with psycopg.connect(bench.database_url, autocommit=True, **connection_options()) as conn:
        try:
            with transaction(conn):
                conn.execute(EventStoreSql.lock_shared_writer)
                conn.execute(EventStoreSql.lock_streams, ([key],))
                yield conn
        except psycopg.OperationalError:
            assert conn.broken


def the_code(bench: LedgerBench) -> UUID:
    ((code_id,),) = bench.rows("SELECT code_id FROM code_balances")
    return UUID(str(code_id))


def ended_within_bound(bench: LedgerBench) -> int:
    return wait_for(lambda: end_stalled_writers(bench.storage.datastore, SILENT_S))


def test_writer_that_stops_in_its_middle_is_ended_and_the_next_gets_through(bench: LedgerBench) -> None:
    """Its server session is active and waits for its client, so no timeout of the server ends it."""
    code = bench.issue()
    with writing(bench, the_code(bench)), ThreadPoolExecutor(1) as threads:
        redeem = threads.submit(bench.redeem, code, "li.wei@example.com")

        assert ended_within_bound(bench) == 1
        assert done(redeem.result(WAIT_S_MAX)).changed


def test_writer_that_makes_progress_is_not_ended(bench: LedgerBench) -> None:
    """Slow is not silent: the transaction lasts far longer than that, and each statement counts."""
    bench.issue()
    with writing(bench, the_code(bench)) as conn:
        for _ in range(4):
            time.sleep(SLOW_S / 3)
            conn.execute("SELECT 1")
            assert end_stalled_writers(bench.storage.datastore, SLOW_S) == 0
        conn.execute("COMMIT")


def test_slow_statement_is_not_ended(bench: LedgerBench) -> None:
    """The server is at work, so its client has nothing to say."""
    bench.issue()
    with writing(bench, the_code(bench)) as conn:
        conn.execute("SELECT pg_sleep(%s)", (WAIT_S_MAX,))
        for _ in range(LOOKS):
            time.sleep(SILENT_S / 3)
            assert end_stalled_writers(bench.storage.datastore, SILENT_S) == 0
        bench.rows("SELECT pg_terminate_backend(%s)", conn.info.backend_pid)


def test_watch_looks_by_itself_until_it_is_closed(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen writer holds a code up for no longer than its bound and one look, also after looks that failed."""
    monkeypatch.setattr("projections.database.stalled_writers.CHECK_INTERVAL_S", 0.1)
    failures = iter([ZeroDivisionError(), psycopg.OperationalError()])

    def look(datastore: LedgerDatastore) -> int:
        if failure := next(failures, None):
            raise failure
        return end_stalled_writers(datastore, SILENT_S)

    monkeypatch.setattr("projections.database.stalled_writers.end_stalled_writers", look)
    code = bench.issue()
    with LedgerStore.open(settings_for(bench.database_url)) as other, writing(bench, the_code(bench)):
        watch = StalledWriterWatch(other.datastore)
        try:
            assert done(bench.redeem(code, "li.wei@example.com")).changed
        finally:
            watch.close()
