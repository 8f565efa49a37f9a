"""Try mutants: collect the tests once, then fork a process for each mutant, which runs the tests of its function.

It runs in the folder of the mutants, so that `domain` is imported from there. Names of mutants come from standard
input, one a line; the last line of the output is JSON with the exit code of each.
"""

import json
import math
import os
import resource
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

KILLED, SURVIVED, UNTESTED = 1, 0, 33
"""Exit codes: a test failed, all passed, no test calls the function. A negative one is a signal, as for a timeout."""
NO_MUTANT: Final = ""
"""Stands for the domain as it is: all tests must pass, or no result of a mutant means anything."""
CPU_S_BASE: Final = 3
CPU_FACTOR: Final = 4
"""CPU time that each test may take, in seconds and in multiples of what it took without a mutant: it may loop."""


class MutantTrial:
    """A plugin of pytest that replaces the loop over tests by a loop over mutants."""

    def __init__(self, names: Sequence[str], processes: int) -> None:
        stats = json.loads(Path("mutmut-stats.json").read_text("utf-8"))
        tests_by_function = stats["tests_by_mangled_function_name"].items()
        self._tests_by_function = {function: frozenset(tests) for function, tests in tests_by_function}
        self._seconds: Mapping[str, float] = stats["duration_by_test"]
        self._names = names
        self._processes = processes
        self._running: dict[int, str] = {}
        self.exit_codes: dict[str, int] = {}

    def pytest_configure(self) -> None:
        """Let random tests use the same examples in each run, and fail at once: a smaller example helps no one here."""
        from hypothesis import Phase, settings  # noqa: PLC0415 - pytest warns of plugins imported before it starts

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", phases=phases, database=None, derandomize=True)
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every mutant."""
        tests = {test.nodeid: test for test in sorted(session.items, key=lambda test: self._seconds[test.nodeid])}
        for name in self._names:
            called_by = self._tests_by_function.get(name.rpartition("__mutmut_")[0], ())
            own_tests = [tests[test] for test in tests if name == NO_MUTANT or test in called_by]
            if len(self._running) == self._processes:
                self._await_one()
            self._try_in_child(name, own_tests)
        while self._running:
            self._await_one()
        return True

    def _try_in_child(self, name: str, tests: Sequence[pytest.Item]) -> None:
        pid = os.fork()
        if pid:
            self._running[pid] = name
            return
        os.environ["MUTANT_UNDER_TEST"] = name  # the tool's wrapper of each function reads it
        code = KILLED
        try:
            code = self._run_until_failure(tests) if tests else UNTESTED
        finally:
            os._exit(code)

    def _run_until_failure(self, tests: Sequence[pytest.Item]) -> int:
        """Run tests up to the first that fails, the quick ones first, and print nothing."""
        session, manager = tests[0].session, tests[0].config.pluginmanager
        manager.unregister(name="terminalreporter")
        for test, following in zip(tests, [*tests[1:], None], strict=True):
            cpu_s = math.ceil(time.process_time() + CPU_S_BASE + CPU_FACTOR * self._seconds[test.nodeid])
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, resource.RLIM_INFINITY))
            test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
            if session.testsfailed:
                return KILLED
        return SURVIVED

    def _await_one(self) -> None:
        pid, status = os.wait()
        self.exit_codes[self._running.pop(pid)] = os.waitstatus_to_exitcode(status)


def main() -> None:
    """Try the mutants, as many at a time as the argument says."""
    selection = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    trial = MutantTrial(sys.stdin.read().splitlines(), int(sys.argv[1]))
    os.environ["MUTANT_UNDER_TEST"] = NO_MUTANT
    options = ["--rootdir=.", "-q", "--tb=native", *selection["pytest_add_cli_args"]]
    pytest.main([*options, *selection["pytest_add_cli_args_test_selection"]], plugins=[trial])
    sys.stdout.write(f"\n{json.dumps(trial.exit_codes)}\n")


if __name__ == "__main__":
    main()
