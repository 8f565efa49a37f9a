"""Mutants of the domain: `make mutate` changes one expression at a time, and a test must fail for each.

A sample with a fixed seed is small enough for every day; `--all` tries every mutant. `explained.json` holds the mutants
that no test can or need kill, each with its reason.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
EXPLAINED: Final = Path(__file__).with_name("explained.json")
MUTANTS: Final = ROOT / "mutants"
# The least that has been reached, in percent of a sample; it may only rise. The goal is 97.
KILLED_PERCENT_MIN: Final = 94.0
SAMPLE: Final = 400
SURVIVED, UNTESTED = 0, 33
"""Exit codes that mutmut keeps for a mutant: its tests passed; no test calls its function."""
ANY_MODULE: Final = "domain.values.code_strength.*"
"""A few mutants, tried first: mutmut makes all mutants before it tries one."""


class Survivor(NamedTuple):
    """A mutant that no test kills. `becomes` is the first changed line."""

    name: str
    becomes: str

    @property
    def function(self) -> str:
        """Return its function; the number behind it changes whenever a line is inserted."""
        return self.name.rpartition("__mutmut_")[0]


def main() -> int:
    """Run the mutants, and print what is left of them.

    Returns:
        1 if fewer are killed than `KILLED_PERCENT_MIN`, those that are explained aside, else 0.
    """
    options = _parse_arguments()
    # The tool would keep what it knows of earlier tests, and not try those that were changed.
    shutil.rmtree(MUTANTS, ignore_errors=True)
    _try_mutants(options.processes, ANY_MODULE)
    names = sorted(_read_exit_codes())
    if not options.all:
        names = sorted(random.Random(options.seed).sample(names, min(options.sample, len(names))))
    _try_mutants(options.processes, *([] if options.all else names))
    survivors = list(_find_survivors(names))
    explained = {(entry["function"], entry["becomes"]) for entry in json.loads(EXPLAINED.read_text("utf-8"))}
    left = [survivor for survivor in survivors if (survivor.function, survivor.becomes) not in explained]
    for survivor in left:
        sys.stdout.write(f"{survivor.name}\n    {survivor.becomes}\n")
    percent = 100 * (1 - len(left) / len(names))
    sys.stdout.write(
        f"{len(names)} mutants, {len(names) - len(survivors)} killed, {len(survivors) - len(left)} explained, "
        f"{len(left)} left: {percent:.1f}% (at least {KILLED_PERCENT_MIN}%; seed {options.seed})\n"
        f"A mutant is looked at with `.venv-mutate/bin/mutmut show NAME`: write the test that kills it, "
        f"or give the reason in {EXPLAINED.relative_to(ROOT)}.\n"
    )
    return int(percent < KILLED_PERCENT_MIN)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def _try_mutants(processes: int, *names: str) -> None:
    """Try mutants by name, or all.

    Raises:
        SystemExit: The tool could not begin, because the tests fail without any mutant.
    """
    done = _run_mutmut("run", "--max-children", str(processes), *names)
    if all(code is None for code in _read_exit_codes().values()):
        sys.exit(done)


def _run_mutmut(*words: str) -> str:
    """Run the tool, and return what it prints; its exit code is 1 as soon as one mutant survives."""
    command = [sys.executable, "-m", "mutmut", *words]
    return subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True).stdout


def _read_exit_codes() -> dict[str, int | None]:
    """Read what became of each mutant; None if it was not tried."""
    codes: dict[str, int | None] = {}
    for path in MUTANTS.rglob("*.py.meta"):
        codes |= json.loads(path.read_text("utf-8"))["exit_code_by_key"]
    return codes


def _find_survivors(names: Sequence[str]) -> Iterator[Survivor]:
    codes = _read_exit_codes()
    for name in names:
        if codes[name] in {None, SURVIVED, UNTESTED}:
            lines = _run_mutmut("show", name).splitlines()
            changed = (line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++"))
            yield Survivor(name, next(changed, ""))


if __name__ == "__main__":
    sys.exit(main())
