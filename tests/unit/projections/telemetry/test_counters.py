import asyncio
import inspect
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from unittest.mock import Mock, call

import pytest
from prometheus_client import Counter, mmap_dict, values

from projections.telemetry import multiprocess
from projections.telemetry.loop_counter import LoopCounter
from tests.support.metric_samples import scraped
from tests.support.waiting import in_event_loop, run_ready_tasks

PROCESS = """
import sys
from projections.telemetry.metrics import ERRORS, POOL_SIZE, COMMIT_SECONDS, declare_zeroes
declare_zeroes()
ERRORS.labels("celery_error").inc(int(sys.argv[1]))
COMMIT_SECONDS.observe(0.002)
POOL_SIZE.labels("idle").set(int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""
FORKED = """
import os
from projections.telemetry.metrics import ERRORS
ERRORS.labels("celery_error").inc(2)
child = os.fork()
ERRORS.labels("celery_error").inc(3 if child else 5)
if child:
    os.waitpid(child, 0)
    print(os.getpid(), child)
"""
SCRAPE = """
import sys
from projections.telemetry.exposition import Exposition
sys.stdout.buffer.write(Exposition([])())
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, multiprocess.VARIABLE: str(tmp_path)}


def process(environment: dict[str, str], count: int) -> subprocess.Popen[bytes]:
    started = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(count)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    return started


def scrape(environment: dict[str, str]) -> dict[str, float]:
    return scraped(
        subprocess.run([sys.executable, "-c", SCRAPE], env=environment, capture_output=True, check=True).stdout
    )


def test_processes_add_up_and_dead_ones_still_count(environment: dict[str, str], tmp_path: Path) -> None:
    first, second = process(environment, 2), process(environment, 5)
    try:
        together = scrape(environment)
        first.send_signal(signal.SIGKILL)
        first.wait()
        after = scrape(environment)
        again = scrape(environment)
    finally:
        for one in (first, second):
            one.kill()
            one.communicate()

    name, idle = 'errors_total{error_type="celery_error"}', 'ledger_pool_connections{state="idle"}'
    assert (together[name], after[name], again[name]) == (7, 7, 7)
    assert (together["ledger_commit_seconds_count"], again["ledger_commit_seconds_count"]) == (2, 2)
    assert (together[idle], after[idle]) == (7, 5)
    names = {file.name for file in tmp_path.glob("*.db")}
    assert not any(str(first.pid) in name for name in names)
    assert {"counter_dead.db", "histogram_dead.db"} <= names
    assert 'errors_total{error_type="smtp_error"}' in together


def test_forked_process_counts_in_a_file_of_its_own(environment: dict[str, str], tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", FORKED], env=environment, capture_output=True, check=True, text=True)

    pids = ran.stdout.split()
    assert {file.name for file in tmp_path.glob("counter_*.db")} == {f"counter_{pid}.db" for pid in pids}
    assert scrape(environment)['errors_total{error_type="celery_error"}'] == 10


def test_start_removes_the_counts_of_the_last_run(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").write_bytes(b"x")
    (tmp_path / "note.txt").write_text("kept")

    multiprocess.wipe(tmp_path)
    multiprocess.wipe(tmp_path / "new")

    assert {path.name for path in tmp_path.iterdir()} == {"note.txt", "new"}


def test_files_of_counters_are_as_the_merge_expects_them(tmp_path: Path) -> None:
    """Private parts of the client: its mapped files, and which process a value belongs to."""
    changed = (
        f"prometheus_client {version('prometheus_client')} changed {{}}: adapt projections/telemetry/multiprocess.py"
    )
    file = tmp_path / "counter_1.db"
    counters = mmap_dict.MmapedDict(str(file))  # type: ignore[no-untyped-call]  # the client ships this one without types
    counters.write_value("key", 2.0, 3.0)  # type: ignore[no-untyped-call]  # as above
    counters.close()  # type: ignore[no-untyped-call]  # as above

    stored = list(mmap_dict.MmapedDict.read_all_values_from_file(str(file)))  # type: ignore[no-untyped-call]  # as above

    assert [entry[:3] for entry in stored] == [("key", 2.0, 3.0)], changed.format("the entries of MmapedDict")
    assert len(stored[0]) == 4, changed.format("the length of an entry of MmapedDict")
    assert list(inspect.signature(values.MultiProcessValue).parameters) == ["process_identifier"], changed.format(
        "MultiProcessValue"
    )
    assert hasattr(values, "ValueClass"), changed.format("ValueClass, of which metrics make their values")


def count_twice(counter: LoopCounter) -> None:
    counter.count()
    counter.count(2)


@in_event_loop
async def test_counts_of_each_iteration_are_added_at_once() -> None:
    added = Mock(spec=Counter)
    counter = LoopCounter(added)
    count_twice(counter)
    added.inc.assert_not_called()
    await run_ready_tasks()
    count_twice(counter)
    await run_ready_tasks()

    assert added.inc.mock_calls == [call(3), call(3)]


def test_counts_of_a_closed_loop_are_added_by_the_next_one() -> None:
    added = Mock(spec=Counter)
    counter = LoopCounter(added)
    loop = asyncio.new_event_loop()
    loop.call_soon(count_twice, counter)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()

    added.inc.assert_not_called()

    async def serve() -> None:
        counter.count()

    asyncio.run(serve())

    added.inc.assert_called_once_with(4)


@in_event_loop
async def test_counts_continue_after_an_addition_that_failed() -> None:
    added = Mock(spec=Counter)
    added.inc.side_effect = [RuntimeError("broken"), None]
    counter = LoopCounter(added)

    counter.count()
    await run_ready_tasks()
    counter.count(2)
    await run_ready_tasks()

    assert added.inc.mock_calls == [call(1), call(2)]
