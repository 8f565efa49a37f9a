"""A rebuild stands back for redeems: its processes at once, its work in the database while others write."""

import os
import subprocess
import sys

import pytest

from projections.database.connection import open_maintenance_connection
from projections.replay.throttle import BUSY_EVENTS_PER_S, PAUSE_RATIO, PAUSE_S_MAX, POLL_S, STEP_S, Throttle
from projections.replay.worker_pool import NICENESS, lower_priority
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.waiting import WAIT_S_MAX


class Time:
    """Clocks that move only when a test moves them, and the slept seconds."""

    def __init__(self) -> None:
        self.now = self.used = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def cpu_clock(self) -> float:
        return self.used

    def passes(self, seconds: float) -> None:
        self.now += seconds


def test_rebuild_pauses_only_while_others_write(bench: LedgerBench) -> None:
    """For a part of what each piece of work took, within a bound; on a quiet ledger never."""
    time, code = Time(), bench.issue(None, bound=False)
    work_s = POLL_S * 2

    def redeem() -> None:
        numbers = range(int(BUSY_EVENTS_PER_S * work_s) + 10)
        bench.storage.ledger.execute([bench.reserve(code, f"{time.now}x{number}@example.com") for number in numbers])
        time.passes(work_s)

    with open_maintenance_connection(bench.database_url, "rebuild") as conn:
        pace = Throttle(conn, time.clock, time.slept.append)
        pace.run(lambda: time.passes(work_s))
        assert (pace.is_busy, time.slept) == (False, [])
        pace.run(redeem)
        pace.run(lambda: time.passes(POLL_S / 2))
        assert time.slept == [work_s * PAUSE_RATIO, POLL_S / 2 * PAUSE_RATIO]
        pace.is_busy = True
        pace.run(lambda: time.passes(POLL_S / 10))
        time.now -= POLL_S
        pace.run(lambda: time.passes(100 * PAUSE_S_MAX))

    assert pace.is_busy is False
    assert max(time.slept) <= PAUSE_S_MAX


def test_fold_pauses_for_a_multiple_of_its_cpu_time_while_others_write(bench: LedgerBench) -> None:
    """After each step of CPU time; waiting for the CPU is not work, and a quiet ledger needs no pause."""
    time, code = Time(), bench.issue(None, bound=False)
    step_s = STEP_S * 2

    def step_after(throttle: Throttle, cpu_s: float) -> None:
        time.used += cpu_s
        throttle.step()

    with open_maintenance_connection(bench.database_url, "fold") as conn:
        throttle = Throttle(conn, time.clock, time.slept.append, time.cpu_clock)
        time.passes(POLL_S)
        step_after(throttle, step_s)
        assert (throttle.is_busy, time.slept) == (False, [])

        numbers = range(int(BUSY_EVENTS_PER_S * POLL_S) + 10)
        bench.storage.ledger.execute([bench.reserve(code, f"{number}@example.com") for number in numbers])
        time.passes(POLL_S)
        for cpu_s in (step_s, STEP_S / 2, STEP_S):
            step_after(throttle, cpu_s)

    assert throttle.is_busy
    assert time.slept == pytest.approx([step_s * PAUSE_RATIO, STEP_S * 1.5 * PAUSE_RATIO])


def test_process_waits_while_others_write() -> None:
    """Its own niceness is what the machine has of it."""
    program = (
        "from projections.replay.worker_pool import lower_priority; import os; lower_priority(); print(os.nice(0))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=WAIT_S_MAX
    )

    assert int(ended.stdout) == max(os.nice(0), NICENESS)
    lower_priority(2**22 + 1)  # no process: it has ended already
