"""`make night`: runs targets for some minutes, keeps each result, and prints one table.

The canary comes first; then the targets whose last result is oldest, by weight. What was run is in `build/night.jsonl`
(target, seed, commit, seconds, outcome), what it printed in `build/night/`.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from tests.night.targets import TARGETS, NightTarget

ROOT: Final = Path(__file__).parents[2]
RECORD: Final = ROOT / "build/night.jsonl"
OUTPUT: Final = ROOT / "build/night"
NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
STOPPED_AFTER: Final = 4
"""A target that takes so many times as long as expected is stopped: it hangs."""
SEED_MAX: Final = 1_000_000

Outcome = Literal["passed", "failed", "stopped", "not installed", "no time"]


class NightResult(msgspec.Struct, frozen=True):
    """What became of a target."""

    target: str
    seed: int
    commit: str
    seconds: float
    outcome: Outcome
    at: datetime


def read_results(record: Path) -> Mapping[str, NightResult]:
    """Return the last result of each target that ran."""
    lines = record.read_text("utf-8").splitlines() if record.exists() else []
    results = [msgspec.json.decode(line, type=NightResult) for line in lines]
    return {result.target: result for result in results}


def put_in_order(last: Mapping[str, NightResult], targets: Mapping[str, NightTarget], now: datetime) -> list[str]:
    """Return the canary, then the other targets by the age of their last result times their weight, oldest first."""

    def key(name: str) -> tuple[bool, float]:
        at = last[name].at if name in last else NEVER
        return name != "canary", -(now - at).total_seconds() * targets[name].weight

    return sorted(targets, key=key)


def expect_seconds(target: NightTarget, last: NightResult | None) -> float:
    """Return how long a target will take: as long as it did when it passed last, else what its row says."""
    return last.seconds if last is not None and last.outcome == "passed" else target.minutes * 60


def run_target(name: str, target: NightTarget, seed: int, bound_s: float) -> tuple[Outcome, float]:
    """Run the command of a target in a process group, which is killed at the bound."""
    began = time.monotonic()
    with (OUTPUT / f"{name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", target.command.format(seed=seed)],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "CI": "true"},
        )
        try:
            outcome: Outcome = "failed" if process.wait(bound_s) else "passed"
        except subprocess.TimeoutExpired:
            outcome = "stopped"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return outcome, time.monotonic() - began


def run_night(minutes: float, seed: int, targets: Mapping[str, NightTarget]) -> Iterator[NightResult]:
    """Run targets until no further one fits into the time."""
    ends = time.monotonic() + minutes * 60
    last = read_results(RECORD)
    git = [shutil.which("git") or "git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    for name in put_in_order(last, targets, datetime.now(UTC)):
        target, seconds = targets[name], 0.0
        expected = expect_seconds(target, last.get(name))
        outcome: Outcome = "not installed"
        if target.needs is None or target.needs():
            outcome = "no time"
            if name == "canary" or time.monotonic() + expected < ends:
                _say(f"{datetime.now(UTC):%H:%M:%S} {name}: about {expected / 60:.0f} minutes")
                outcome, seconds = run_target(name, target, seed, expected * STOPPED_AFTER)
        result = NightResult(name, seed, commit.stdout.strip(), round(seconds, 1), outcome, datetime.now(UTC))
        if outcome not in {"no time", "not installed"}:
            with RECORD.open("ab") as record:
                record.write(msgspec.json.encode(result) + b"\n")
        yield result


def write_table(results: Sequence[NightResult]) -> str:
    """Write one line for each target: its outcome, how long it took, and how to repeat what failed."""
    lines = [f"{'target':<14}{'outcome':<15}{'seconds':>8}  seed {results[0].seed}, commit {results[0].commit}"]
    for result in results:
        again = f'  make night SEED={result.seed} ARGS="--only {result.target}"; {OUTPUT.name}/{result.target}.log'
        lines.append(
            f"{result.target:<14}{result.outcome:<15}{result.seconds:>8.0f}{again if is_bad(result) else ''}".rstrip()
        )
    return "\n".join(lines)


def is_bad(result: NightResult) -> bool:
    """Return whether a result makes the night red."""
    return result.outcome in {"failed", "stopped"}


def main(arguments: Sequence[str]) -> int:
    """Run a night: 1 if a target failed, hung, or the canary was not found."""
    parser = argparse.ArgumentParser(prog="make night", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, help="drawn and printed if not given")
    parser.add_argument("--only", nargs="+", choices=TARGETS, help="these targets, and the canary", default=[])
    parser.add_argument("--list", action="store_true", help="name the targets, with their last results")
    asked = parser.parse_args(arguments)
    if asked.list:
        last = read_results(RECORD)
        for name, target in TARGETS.items():
            result = last.get(name)
            seen = f"{result.outcome} at {result.at:%Y-%m-%d %H:%M}, seed {result.seed}" if result else "never ran"
            _say(f"{name:<14}{seen}\n{'':<14}{target.command}")
        return 0
    OUTPUT.mkdir(parents=True, exist_ok=True)
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(SEED_MAX)
    chosen = {name: target for name, target in TARGETS.items() if not asked.only or name in {"canary", *asked.only}}
    results = list(run_night(asked.minutes, seed, chosen))
    _say(write_table(results))
    return int(any(map(is_bad, results)))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
