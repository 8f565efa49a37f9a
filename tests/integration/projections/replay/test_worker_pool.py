"""Folding in several processes: the same rows as in one, and what happens when something goes wrong in them."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from projections.replay.jobs import fold_jobs
from projections.replay.log_fold import MemoryLimits
from projections.replay.observer import UndecodableEventError
from projections.replay.protocol import JobDone, PageRead, Start, receive, send
from projections.replay.worker_pool import WorkerPool
from projections.verification.verify import verify
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.random_history import RandomHistory
from tests.support.ledger.rebuilds import NoProgress, commanded, leftovers, read_models, rebuilt
from tests.support.waiting import WAIT_S_MAX, wait_for

pytestmark = pytest.mark.night(of="races")

ROOT = Path(__file__).parents[4]
SMALL = MemoryLimits(page_events=7, open_reservations_max=2, catch_up_events=3)

KILLED = """
import os, signal, sys
from projections import rebuild_build
from projections.rebuild.rebuild import Wish, rebuild
from tests.support.ledger.rebuilds import Quiet

rebuild_build.ALONE_EVENTS_MAX = 0
rebuild_build.EVENTS_PER_WORKER = 1

class Deadly(Quiet):
    def at(self, events, position):
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))

rebuild(sys.argv[1], Wish(apply=True, workers=2), Deadly())
"""

PACED = """
import sys
from projections.replay import worker
steps = []
worker.Throttle.step = lambda throttle: steps.append(throttle)
status = worker.main()
sys.stderr.write(f"{status} {len(steps) > 2} {len(set(steps))}")
"""


@pytest.fixture(autouse=True)
def _never_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a short log is folded by several processes."""
    monkeypatch.setattr("projections.rebuild.shadow_builder.ALONE_EVENTS_MAX", 0)
    monkeypatch.setattr("projections.rebuild.shadow_builder.EVENTS_PER_WORKER", 1)
    monkeypatch.setattr("projections.replay.jobs.PART_EVENTS", 20)


def helpers(bench: LedgerBench) -> int:
    return int(bench.rows("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'ledger fold%%'")[0][0])


def wait_for_none(bench: LedgerBench) -> None:
    wait_for(lambda: not helpers(bench))


def test_several_processes_make_the_same_rows(bench: LedgerBench) -> None:
    """Rows, late events and closed cases come through the pipes; afterwards no process is left."""
    RandomHistory(bench, 11, codes=5).go_on(140)
    before = read_models(bench)

    dry = rebuilt(bench, limits=SMALL, workers=2)
    applied = rebuilt(bench, limits=SMALL, workers=3, apply=True)

    assert (dry.counts, applied.counts) == ({}, {})
    assert dry.events == applied.events == bench.rows("SELECT count(*) FROM ledger_events")[0][0]
    assert (before, []) == (read_models(bench), leftovers(bench))
    wait_for_none(bench)


def test_worker_process_offers_to_pause_within_each_page(bench: LedgerBench) -> None:
    """A page of 100,000 events takes a second of CPU time: redeem requests would wait for its end."""
    RandomHistory(bench, 16, codes=3).go_on(40)
    until = bench.rows("SELECT max(notification_id) FROM ledger_events")[0][0]
    frames = BytesIO()
    send(frames, Start(bench.database_url, {}, until, until, 100, checks_rules=True))
    for job in fold_jobs(3):
        send(frames, job)

    ended = subprocess.run(
        [sys.executable, "-c", PACED],
        cwd=ROOT,
        input=frames.getvalue(),
        timeout=WAIT_S_MAX,
        check=True,
        capture_output=True,
    )

    assert ended.stderr.decode() == "0 True 1"
    messages = BytesIO(ended.stdout)
    received = []
    while messages.tell() < len(ended.stdout):
        received.append(receive(messages))
    assert [message for message in received if isinstance(message, JobDone)] == [JobDone()] * 3
    assert sum(message.events for message in received if isinstance(message, PageRead)) == until


@pytest.mark.usual_world("all findings are listed, so that it does not matter which process is first")
def test_check_in_several_processes_finds_the_same_as_in_one(bench: LedgerBench) -> None:
    """Findings are brought together; those of the same event are the same."""
    RandomHistory(bench, 12, codes=5).go_on(80)
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("ALTER TABLE ledger_events DISABLE TRIGGER USER")
        conn.execute("UPDATE ledger_events SET topic = 'X:1' WHERE originator_version = 3")
        conn.execute("UPDATE code_balances SET used = 99")

    findings = [
        verify(bench.database_url, timedelta(days=1), NoProgress(), 99, limits=SMALL, workers=workers)
        for workers in (0, 2)
    ]

    assert sorted(findings[0].findings) == sorted(findings[1].findings)
    assert findings[0].broken == findings[1].broken
    assert findings[0].rows.counts == findings[1].rows.counts
    assert findings[0].broken["event log: every event can be read and follows"] > 1


def test_undecodable_event_in_another_process_stops_everything(bench: LedgerBench) -> None:
    """It is named as usual, nothing has changed, no process continues."""
    RandomHistory(bench, 13, codes=4).go_on(60)
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("ALTER TABLE ledger_events DISABLE TRIGGER USER")
        conn.execute("UPDATE ledger_events SET topic = 'UseTeleported:7' WHERE notification_id = 3")
    before = read_models(bench)

    with pytest.raises(UndecodableEventError, match="topic UseTeleported:7"):
        rebuilt(bench, workers=2, apply=True)

    assert (before, []) == (read_models(bench), leftovers(bench))
    wait_for_none(bench)


def test_helper_that_is_killed_stops_everything(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3, a sentence, and the live tables as they were."""
    RandomHistory(bench, 14, codes=4).go_on(40)
    before = read_models(bench)
    give = WorkerPool._give

    def killing(pool: WorkerPool, number: int, left: object) -> bool:
        result = give(pool, number, left)  # type: ignore[arg-type]  # as it came
        os.kill(pool._processes[number].pid, signal.SIGKILL)
        return result

    monkeypatch.setattr(WorkerPool, "_give", killing)

    code, _, said = commanded(bench, workers=2, apply=True)

    assert code == 3
    assert "a process that reads the log ended with -9; nothing was changed" in said
    assert (before, []) == (read_models(bench), leftovers(bench))


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_helpers_end_with_the_rebuild(bench: LedgerBench, how: str) -> None:
    """Killed or interrupted while it folds: its helpers go too, live tables are as they were, the next run works."""
    RandomHistory(bench, 15, codes=4).go_on(40)
    before = read_models(bench)
    command = [sys.executable, "-c", KILLED, bench.database_url, how]

    ended = subprocess.run(command, cwd=ROOT, timeout=WAIT_S_MAX, check=False, capture_output=True)

    assert ended.returncode != 0
    wait_for_none(bench)
    assert before == read_models(bench)
    assert commanded(bench, apply=True, workers=2)[0] == 0
    assert leftovers(bench) == []


def test_parts_hold_every_stream_once_and_long_ones_come_first() -> None:
    """Ranges follow one another without a gap."""
    jobs = fold_jobs(7)
    long = jobs[5].first

    ordered = sorted(jobs, key=lambda job: job.first.int)
    assert (ordered[0].first.int, ordered[-1].last.int) == (0, 2**128 - 1)
    assert all(one.last.int + 1 == other.first.int for one, other in pairwise(ordered))
    assert jobs[5] == fold_jobs(7, [long, long])[0]
    assert sorted(fold_jobs(7, [long]), key=lambda job: job.first.int) == ordered
