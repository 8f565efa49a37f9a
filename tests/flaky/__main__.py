"""Repeats the tests that have processes: alone, with a busy neighbor, and on one core. `make flaky`.

No verdict of a test may depend on the speed of the machine. The first run finds out which tests have processes (see
`recorder`); the others repeat those. The table at the end has the command that repeats each failure.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.flaky.recorder import RESULT

SPIN: Final = "while True: pass"
CONDITIONS: Final = ("alone", "busy", "one-core")


@dataclass(slots=True)
class FlakyReport:
    """Failures by condition and test, and how many runs of each condition there were."""

    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0

    def lines(self) -> Iterator[str]:
        """Yield the table."""
        for (condition, test), count in sorted(self.failures.items()):
            command = f"make flaky RUNS={self.runs[condition]} ARGS=\"--only {condition} '{test}'\""
            yield f"{condition:<9}{count:>3} of {self.runs[condition]:<3} {test}\n{'':<9}{command}"
        yield f"{sum(self.failures.values())} failures, {self.unfinished} unfinished runs of {self.runs.total()}"


@contextmanager
def spinners(count: int) -> Iterator[None]:
    """Run processes that do nothing but use their time."""
    processes = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_once(condition: str, selection: Sequence[str], folder: Path) -> tuple[int, Mapping[str, list[str]]]:
    """Run tests under a condition; the exit code of pytest and what the recorder wrote."""
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-m", "", "-p", "tests.flaky.recorder", *selection]
    cores = sorted(os.sched_getaffinity(0))
    if condition == "one-core":
        command = [shutil.which("taskset") or "taskset", "--cpu-list", str(cores[0]), *command]
    with (folder / "output.log").open("a") as output, spinners(len(cores) if condition == "busy" else 0):
        status = subprocess.run(
            command, env={**os.environ, RESULT: str(result)}, stdout=output, stderr=output, check=False
        ).returncode
    return status, json.loads(result.read_text()) if result.exists() else {}


def repeat(runs: int, conditions: Sequence[str], selection: Sequence[str], folder: Path) -> FlakyReport:
    """Run the tests that have processes so often under each condition."""
    report, chosen = FlakyReport(), list(selection)
    for condition in conditions:
        for number in range(1, runs + 1):
            began = time.monotonic()
            status, result = run_once(condition, chosen, folder)
            report.runs[condition] += 1
            report.unfinished += status not in {0, 1}
            with_processes, failed = result.get("with_processes", []), result.get("failed", [])
            report.failures.update((condition, test) for test in failed if test in with_processes)
            took = f"{len(failed)} failed, exit {status}, {time.monotonic() - began:.0f} s"
            print(f"{condition} {number} of {runs}: {len(with_processes)} tests with processes, {took}", flush=True)  # noqa: T201 - progress of a command
            if chosen == list(selection) and with_processes:
                (folder / "tests.txt").write_text("\n".join(with_processes))
                chosen = [f"@{folder / 'tests.txt'}"]
    return report


def main() -> int:
    """Run by the command line; 1 if a test failed or a run did not finish."""
    parser = argparse.ArgumentParser(prog="python -m tests.flaky", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", choices=CONDITIONS, help="one condition instead of all")
    parser.add_argument("--log", type=Path, help="folder of what pytest writes; a temporary one by default")
    parser.add_argument("selection", nargs="*", default=["tests"], help="files, folders or tests")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ledger-flaky-") as temporary:
        folder = arguments.log or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report = repeat(arguments.runs, [arguments.only] if arguments.only else CONDITIONS, arguments.selection, folder)
        if report.failures and arguments.log is None:
            shutil.copy(folder / "output.log", "flaky.log")
            print("what pytest wrote is in flaky.log")  # noqa: T201 - as above
    print("\n".join(report.lines()))  # noqa: T201 - as above
    return 1 if report.failures or report.unfinished else 0


if __name__ == "__main__":
    sys.exit(main())
