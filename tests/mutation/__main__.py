"""Mutants of the domain: `make mutate` changes one expression at a time, and a test must fail for each.

A sample with a fixed seed is small enough for every day; `--all` tries every mutant. `explained.json` holds the mutants
that no test can or need kill, each with its reason.
"""

import argparse
import ast
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from difflib import ndiff
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from tests.mutation.try_mutants import NO_MUTANT, SURVIVED, UNTESTED

ROOT: Final = Path(__file__).parents[2]
EXPLAINED: Final = Path(__file__).with_name("explained.json")
MUTANTS: Final = ROOT / "mutants"
# The least that has been reached, in percent of a sample; it may only rise.
KILLED_PERCENT_MIN: Final = 97.0
SAMPLE: Final = 400
EVERY: Final = "*"
ANY_MODULE: Final = "domain.values.code_strength.*"
"""A few mutants, tried by mutmut itself: only after it made all mutants and saw which tests call which function."""


class Survivor(NamedTuple):
    """A mutant that no test kills. `becomes` is the first changed line, or the first removed one after a minus."""

    name: str
    becomes: str

    @property
    def function(self) -> str:
        """Return its function; the number behind it changes whenever a line is inserted."""
        return self.name.rpartition("__mutmut_")[0]


def main() -> int:
    """Try the mutants, and print what is left of them.

    Returns:
        1 if fewer are killed than `KILLED_PERCENT_MIN`, those that are explained aside, or if all mutants were tried
        and an explanation is of none that survives; else 0.
    """
    options = _parse_arguments()
    modules = _make_mutants(options.processes)
    names = sorted(name for name in modules if fnmatch(name, options.only))
    if not options.all:
        names = sorted(random.Random(options.seed).sample(names, min(options.sample, len(names))))
    codes = _try_mutants(options.processes, names)
    survivors = [
        Survivor(name, _find_change(modules[name], name)) for name in names if codes[name] in {SURVIVED, UNTESTED}
    ]
    explained = {(entry["function"], entry["becomes"]) for entry in json.loads(EXPLAINED.read_text("utf-8"))}
    left = [survivor for survivor in survivors if (survivor.function, survivor.becomes) not in explained]
    for survivor in left:
        sys.stdout.write(f"{survivor.name}\n    {survivor.becomes}\n")
    stale = (
        explained - {(survivor.function, survivor.becomes) for survivor in survivors}
        if options.all and options.only == EVERY
        else set()
    )
    for function, becomes in sorted(stale):
        sys.stdout.write(f"{function}\n    {becomes}\n    is explained, but a test kills it or it is gone: remove it\n")
    percent = 100 * (1 - len(left) / len(names))
    sys.stdout.write(
        f"{len(names)} mutants, {len(names) - len(survivors)} killed, {len(survivors) - len(left)} explained, "
        f"{len(left)} left: {percent:.1f}% (at least {KILLED_PERCENT_MIN}%; seed {options.seed})\n"
        f"A mutant is looked at with `.venv-mutate/bin/mutmut show NAME`: write the test that kills it, "
        f"or give the reason in {EXPLAINED.relative_to(ROOT)}.\n"
    )
    return int(percent < KILLED_PERCENT_MIN or bool(stale))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default=EVERY, help="names of mutants, such as domain.model.access.*")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def _make_mutants(processes: int) -> Mapping[str, Path]:
    """Make the mutants of the present code, and return the module of each by its name.

    Raises:
        SystemExit: The tool could not begin, because the tests fail without any mutant.
    """
    # The tool would keep what it knows of earlier tests, and not try those that were changed.
    shutil.rmtree(MUTANTS, ignore_errors=True)
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes), ANY_MODULE]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    codes = {path: json.loads(path.read_text("utf-8"))["exit_code_by_key"] for path in MUTANTS.rglob("*.py.meta")}
    if all(code is None for of_module in codes.values() for code in of_module.values()):
        sys.exit(done.stdout)
    return {name: path.with_suffix("") for path, of_module in codes.items() for name in of_module}


def _try_mutants(processes: int, names: Sequence[str]) -> Mapping[str, int]:
    """Try mutants, and return the exit code of each.

    Raises:
        SystemExit: A test fails without any mutant.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation.try_mutants", str(processes)],
        cwd=MUTANTS,
        check=True,
        input="\n".join([NO_MUTANT, *names]),
        stdout=subprocess.PIPE,
        text=True,
    )
    codes: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    if codes[NO_MUTANT] != SURVIVED:
        sys.exit("a test fails without any mutant: run tests/unit/domain and tests/properties")
    return codes


def _find_change(module: Path, name: str) -> str:
    """Return the first line that differs from the original function, or the removed one after a minus."""
    sources = _read_functions(module)
    mutant = name.rpartition(".")[2]
    original = f"{mutant.rpartition('__mutmut_')[0]}__mutmut_orig"
    lines = [line for line in ndiff(sources[original], sources[mutant]) if line[0] in "+-"]
    added = next((line[2:] for line in lines if line[0] == "+"), None)
    return added or next((f"- {line[2:]}" for line in lines), "")


@cache
def _read_functions(module: Path) -> Mapping[str, Sequence[str]]:
    """Read the lines of each function of a module after its signature's name, without indentation."""
    text = module.read_text("utf-8")
    lines = text.splitlines()
    return {
        node.name: [line.strip().replace(node.name, "") for line in lines[node.lineno - 1 : node.end_lineno]]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


if __name__ == "__main__":
    sys.exit(main())
