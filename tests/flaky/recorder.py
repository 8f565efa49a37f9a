"""A pytest plugin that writes which tests have processes of their own, and which of all failed.

A test has some if it, or a fixture that it uses, started one. The servers of `tests/conftest.py` don't count: they
serve the whole suite, and no test hurts them.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

RESULT: Final = "FLAKY_RESULT"
"""Variable that names the file to write; with the prefix LEDGER_ the ledger would report it as an unknown setting."""
STARTS: Final = frozenset({"subprocess.Popen", "os.fork", "os.posix_spawn"})
SUITE_FIXTURES: Final = "tests"
"""Where pytest says that the fixtures of `tests/conftest.py` are from."""


class _Recorder:
    def __init__(self) -> None:
        self.started = 0
        self.started_before = 0
        self.in_suite = 0
        self.fixtures: set[Any] = set()
        self.with_processes: set[str] = set()
        self.outcomes: dict[str, str] = {}

    def hear(self, event: str, _arguments: tuple[Any, ...]) -> None:
        """Count a start; audit hooks can't be removed, so this is all it does."""
        if event in STARTS and not self.in_suite:
            self.started += 1


RECORDER: Final = _Recorder()
sys.addaudithook(RECORDER.hear)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Iterator[None]:  # noqa: ANN401 - pytest keeps its class to itself
    """Note the fixtures that start processes: all tests that use one have them, and only the first sees it start."""
    is_suite, before = fixturedef.baseid == SUITE_FIXTURES, RECORDER.started
    RECORDER.in_suite += is_suite
    try:
        return (yield)
    finally:
        RECORDER.in_suite -= is_suite
        if RECORDER.started > before:
            RECORDER.fixtures.add(fixturedef)


def pytest_runtest_logstart() -> None:
    """Remember the starts before a test."""
    RECORDER.started_before = RECORDER.started


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Note a test that started processes."""
    if RECORDER.started > RECORDER.started_before:
        RECORDER.with_processes.add(nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the worst outcome of the phases of a test."""
    if report.failed or report.when == "call":
        RECORDER.outcomes[report.nodeid] = "failed" if report.failed else report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the result, which includes the tests that use a fixture that started processes."""
    for test in session.items:
        used = getattr(test, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009 - not an attribute of pytest.Item
        if any(fixture in RECORDER.fixtures for fixtures in used for fixture in fixtures):
            RECORDER.with_processes.add(test.nodeid)
    counts = Counter(RECORDER.outcomes.values())
    failed = sorted(name for name, outcome in RECORDER.outcomes.items() if outcome == "failed")
    # In the order of their files: tests that share a stack may build on what came before them.
    with_processes = [test.nodeid for test in session.items if test.nodeid in RECORDER.with_processes]
    result = {"with_processes": with_processes, "failed": failed, "passed": counts["passed"]}
    Path(os.environ[RESULT]).write_text(json.dumps(result), encoding="utf-8")
