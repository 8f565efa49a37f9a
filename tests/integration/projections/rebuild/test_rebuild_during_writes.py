"""`rebuild` next to redeems, killed at every step, cut off from its database, and twice at once."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from domain.results import CommandResult
from projections.database.connection import open_maintenance_connection
from projections.database.errors import StorageUnavailableError
from projections.rebuild import rebuild as rebuilding
from projections.rebuild.lock import acquire_rebuild_lock
from projections.rebuild.rebuild import RebuildOptions, SwapBusyError, rebuild
from projections.sql.event_store import EventStoreSql
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.rebuilds import NoProgress, commanded, leftovers, read_models, rebuilt
from tests.support.ledger.settings import settings_for
from tests.support.waiting import WAIT_S_MAX, wait_for

pytestmark = pytest.mark.night(of="races")

LOCK_MS_MAX = 100
SWAPS_MAX = 12
"""On a machine with much else to do a swap may be deferred in its middle: one of so many is not."""
STEPS = ("created", "filled", "compared", "swapping", "in place")

KILLED = """
import os, signal, sys
from projections.rebuild.rebuild import RebuildOptions, rebuild
from tests.support.ledger.rebuilds import NoProgress

def reached(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), getattr(signal, sys.argv[3]))

rebuild(sys.argv[1], RebuildOptions(apply=True), NoProgress(), reached)
"""


def drift(bench: LedgerBench) -> None:
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("UPDATE code_balances SET used = 7")


def waiting(bench: LedgerBench) -> list[Any]:
    return bench.rows("SELECT locktype, mode FROM pg_locks WHERE NOT granted")


def run_killed(bench: LedgerBench, step: str, how: str) -> int:
    """Run a rebuild in a process of its own that gets a signal at a step; its exit code."""
    root = Path(__file__).parents[4]
    command = [sys.executable, "-c", KILLED, bench.database_url, step, how]
    return subprocess.run(command, cwd=root, timeout=WAIT_S_MAX, check=False, capture_output=True).returncode


def test_redeems_go_on_while_everything_is_rebuilt(bench: LedgerBench) -> None:
    """Three writers, rebuilds one after the other with a swap each: none refused, the books balance, short locks."""
    code = bench.issue(None, bound=False)
    storages = [LedgerStore.open(settings_for(bench.database_url), pool_size=2) for _ in range(3)]
    ended = threading.Event()
    counts: list[int] = []

    def write(storage: LedgerStore) -> int:
        own, number = LedgerBench(storage, bench.database_url), 0
        while not ended.is_set():
            result = own.redeem(code, f"{uuid4().hex}@example.com")
            assert isinstance(result, CommandResult), result
            number += 1
            if number % 3 == 0:
                own.attempt(result.require_reservation().reservation_id)
        return number

    locks: list[float] = []
    with ThreadPoolExecutor(3) as threads:
        writers = [threads.submit(write, storage) for storage in storages]
        try:
            while len(locks) < 3 or (min(locks) > LOCK_MS_MAX and len(locks) < SWAPS_MAX):
                report = rebuilt(bench, apply=True)
                assert report.counts == {}
                locks.append(report.lock_ms or 0.0)
        finally:
            ended.set()
        counts = [writer.result(WAIT_S_MAX) for writer in writers]
    for storage in storages:
        storage.close()

    assert min(locks) <= LOCK_MS_MAX
    assert [(sum(counts),)] == bench.rows("SELECT count(*) FROM reservations")
    assert min(counts) > 10
    assert (rebuilt(bench).counts, leftovers(bench)) == ({}, [])


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_leaves_whole_tables(bench: LedgerBench, step: str) -> None:
    """kill -9: before the swap is committed the live tables are as they were; the next run cleans up and succeeds."""
    done(bench.redeem(bench.issue(), "li.wei@example.com"))
    right = read_models(bench)
    drift(bench)
    wrong = read_models(bench)

    assert run_killed(bench, step, "SIGKILL") == -signal.SIGKILL

    assert (right if step == "in place" else wrong) == read_models(bench)
    assert done(bench.redeem(bench.issue(), "wang@example.com")).changed
    assert commanded(bench, apply=True)[0] == 0
    assert (rebuilt(bench).counts, leftovers(bench)) == ({}, [])


@pytest.mark.parametrize("step", STEPS[:4])
def test_interrupted_it_cleans_up_itself(bench: LedgerBench, step: str) -> None:
    """Ctrl-C: the live tables are as they were, and nothing is left behind."""
    bench.issue()
    drift(bench)
    wrong = read_models(bench)

    assert run_killed(bench, step, "SIGINT") != 0

    assert (wrong, []) == (read_models(bench), leftovers(bench))


@pytest.mark.parametrize("step", STEPS[:4])
def test_database_that_goes_away_leaves_whole_tables(bench: LedgerBench, step: str) -> None:
    """The server ends the rebuild's sessions, as a restart does: an outage is reported, the next run succeeds."""
    bench.issue()
    drift(bench)
    wrong = read_models(bench)

    def reached(name: str) -> None:
        if name == step:
            bench.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ledger reb%%'"
            )

    with pytest.raises(StorageUnavailableError):
        rebuild(bench.database_url, RebuildOptions(apply=True), NoProgress(), reached)

    assert wrong == read_models(bench)
    assert commanded(bench, apply=True)[0] == 0
    assert (rebuilt(bench).counts, leftovers(bench)) == ({}, [])


def test_second_rebuild_names_the_one_that_runs(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once: exit code 4, with the host and process id of the first; what the first has made is left alone."""
    monkeypatch.setattr("projections.rebuild.lock.LOCK_WAIT_S_MAX", 0.3)
    with open_maintenance_connection(bench.database_url, "rebuild") as first:
        acquire_rebuild_lock(first)
        first.execute("CREATE SCHEMA ledger_rebuild")

        code, document, said = commanded(bench)

        assert (code, document) == (4, {})
        assert f"ledger rebuild {os.uname().nodename}:{os.getpid()}" in said
        assert leftovers(bench) == [("ledger_rebuild",)]
    assert commanded(bench)[0] == 0


def test_long_reader_delays_the_swap_and_not_the_redeems(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long read of a table: the rebuild stops after its attempts, redeems continue, nothing has changed."""
    monkeypatch.setattr(rebuilding, "SWAP_ATTEMPTS_MAX", 3)
    code = bench.issue(None, bound=False)
    drift(bench)
    wrong = bench.rows("SELECT code_id, used FROM code_balances")
    with psycopg.connect(bench.database_url) as reader:
        reader.execute("SELECT * FROM reservations")
        with pytest.raises(SwapBusyError):
            rebuilt(bench, apply=True)
        assert done(bench.redeem(code, "li.wei@example.com")).changed
    assert wrong == bench.rows("SELECT code_id, 7 FROM code_balances")

    assert (rebuilt(bench, apply=True).lock_ms or 0) > 0


def test_vacuum_delays_the_swap_and_no_writer_waits_behind_it(
    bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock as VACUUM holds it: the rebuild waits for its end before it asks writers to wait, and needs one try."""
    monkeypatch.setattr(rebuilding, "SWAP_ATTEMPTS_MAX", 1)
    code = bench.issue(None, bound=False)
    drift(bench)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(bench.database_url) as vacuum:
        vacuum.execute("LOCK TABLE reservations IN SHARE UPDATE EXCLUSIVE MODE")
        rebuilding_now = threads.submit(rebuilt, bench, apply=True)
        waits = wait_for(lambda: waiting(bench))
        assert waits == [("relation", "ShareUpdateExclusiveLock")]

        assert done(bench.redeem(code, "li.wei@example.com")).changed

        assert waits == waiting(bench)
        vacuum.rollback()
        assert (rebuilding_now.result(WAIT_S_MAX).lock_ms or 0) > 0
    assert rebuilt(bench).counts == {}


def test_writers_wait_for_a_swap_and_no_longer(bench: LedgerBench) -> None:
    """Negative control: who writes read models takes the entrance first, so a swap never meets half a batch."""
    code = bench.issue(None, bound=False)
    with psycopg.connect(bench.database_url) as swap, ThreadPoolExecutor(1) as threads:
        swap.execute(EventStoreSql.lock_exclusive_writer)
        redeem = threads.submit(bench.redeem, code, "li.wei@example.com")
        with pytest.raises(TimeoutError):
            redeem.result(0.5)
        swap.rollback()

        assert done(redeem.result(WAIT_S_MAX)).changed
