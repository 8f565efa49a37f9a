"""No verdict depends on the speed of the machine: tests wait by `tests.support.waiting` and compare the order."""

from collections import Counter
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.architecture.sources import read, trees
from tests.architecture.timing import count_timed_calls, find_example_bounds

ALLOWED: Final = {
    "tests/acceptance/test_whole_way.py": (2, "the fastest of three requests against the timeout of a broker"),
    "tests/faults/test_broker_outages.py": (3, "an outage lasts a minute; the fastest of many requests, as above"),
    "tests/faults/test_standby_reads.py": (2, "the time before a request, by which the server's own bound is judged"),
    "tests/faults/test_worker_deaths.py": (2, "the least time between restarts: a slow machine takes longer"),
    "tests/integration/api/http/server/test_stream_slots.py": (2, "is canceled"),
    "tests/integration/api/v1/test_event_feed.py": (2, "the answer comes before the time that the request may wait"),
    "tests/integration/cli/embedded/process/test_supervisor.py": (2, "the least time between restarts, as above"),
    "tests/integration/projections/database/servers/test_stale_server_watch.py": (1, "nothing happens without a loan"),
    "tests/integration/projections/database/test_clock.py": (1, "a clock that is wrong by an hour"),
    "tests/integration/projections/database/test_pool.py": (3, "a forked child is killed at the bound"),
    "tests/integration/projections/database/test_stalled_writers.py": (2, "a pause of a third of the bound"),
    "tests/integration/projections/work_queue/test_scheduler_lease.py": (
        2,
        "the least time, as above",
    ),
    "tests/integration/workers/channels/smtp/test_channel.py": (2, "half of WAIT_S_MAX, for which the server stalls"),
}
"""Timed calls by file, and why the verdict is the same on a slow machine. A ratchet: numbers may only fall."""


def test_tests_measure_no_time() -> None:
    """Use `wait_for` and WAIT_S_MAX, or the clock that the tested code is given."""
    tests = [path for path in trees("tests") if "/test_" in path]
    timed = {path: count for path in tests if (count := count_timed_calls(read(path)).total())}

    assert timed == {path: count for path, (count, _) in ALLOWED.items()}


def test_random_tests_have_no_deadline() -> None:
    """An example may take as long as it takes; `timeout` of pyproject.toml ends what hangs."""
    wrong = [f"{path}: {call}" for path in trees("tests") for call in find_example_bounds(read(path))]

    assert (settings().deadline, settings().suppress_health_check) == (None, (HealthCheck.too_slow,))
    assert not wrong, (
        "leave out deadline, and name HealthCheck.too_slow where others are suppressed: tests/conftest.py has the "
        f"profile of all random tests, {wrong}"
    )


@pytest.mark.parametrize(
    ("text", "is_bound"),
    [
        ("@settings(max_examples=9, deadline=200)\ndef test(): ...", True),
        ("hypothesis.settings(deadline=timedelta(seconds=1))", True),
        ("settings.register_profile('a', deadline=1000)", True),
        ("settings(suppress_health_check=[HealthCheck.filter_too_much])", True),
        ("settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)", False),
        ("UseReserved(deadline=START)", False),
    ],
)
def test_bounds_of_examples_are_listed(text: str, *, is_bound: bool) -> None:
    assert bool(find_example_bounds(text)) == is_bound


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("time.sleep(1)\nassert is_done()", {"time.sleep": 1}),
        ("took_s = time.monotonic() - began\nassert took_s < 5", {"time.monotonic": 1}),
        ("process.wait(20)\nthread.join(timeout=2.5)", {"bound": 2}),
        ("wait_for(is_done)\nprocess.wait(WAIT_S_MAX)\nawait asyncio.sleep(0)\nevent.wait(0.05)", {}),
    ],
)
def test_calls_that_depend_on_time_are_counted(text: str, counts: dict[str, int]) -> None:
    assert count_timed_calls(text) == Counter(counts)
