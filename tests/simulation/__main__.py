"""`make simulate SEEDS=N`: many schedules, over all processors. The first that breaks a promise is shown and ends it.

A failing seed replays exactly: `make simulate SEED=that SEEDS=1`. With ARGS=--shrink, the kinds of faults are left out
one after the other while the schedule still breaks a promise; what is left is its entry for `pinned_seeds.json`.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter

from tests.simulation.batches import run_batches
from tests.simulation.fault_schedule import KINDS
from tests.simulation.model import ScheduleOutcome, simulate

REPORT_EVERY_S = 30.0


def main() -> int:
    asked = _asked()
    if asked.trace:
        _say("\n".join(simulate(asked.seed, with_trace=True).trace))
    if asked.shrink:
        _say(json.dumps({"seed": asked.seed, "without": shrink(asked.seed), "why": ""}))
        return 0
    counts: Counter[str] = Counter()
    started = reported_at = time.monotonic()
    done = 0
    for chunk in run_batches(asked.seed, asked.seeds, asked.processes):
        done += chunk.schedules
        counts.update(chunk.counts)
        if chunk.broken is not None:
            _show(chunk.broken)
            return 1
        if time.monotonic() - reported_at > REPORT_EVERY_S:
            reported_at = time.monotonic()
            _say(f"{done} schedules, {done / (reported_at - started):.0f} per second")
    seconds = time.monotonic() - started
    _say("\n".join(f"{name:36}{count:>10}" for name, count in sorted(counts.items())))
    _say(f"{done} schedules from seed {asked.seed}, {done / seconds:.0f} per second: every promise held")
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate", description="Deterministic simulation of the ledger.")
    parser.add_argument("--seeds", type=int, default=2000, help="how many schedules")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed; the others follow")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trace", action="store_true", help="show what happens in the first schedule")
    parser.add_argument("--shrink", action="store_true", help="find the faults that the first schedule needs to fail")
    return parser.parse_args()


def shrink(seed: int) -> list[str]:
    """Return the kinds of faults without which a schedule breaks a promise all the same.

    Raises:
        SystemExit: It breaks none.
    """
    if not simulate(seed).broken:
        raise SystemExit(f"seed {seed} breaks no promise")
    without: list[str] = []
    for kind in KINDS:
        if simulate(seed, without=[*without, kind]).broken:
            without.append(kind)
    return without


def _show(outcome: ScheduleOutcome) -> None:
    _say("\n".join(outcome.trace))
    _say("\n".join(f"BROKEN: {broken}" for broken in outcome.broken))
    _say(f"seed {outcome.seed} breaks a promise; replay it with: make simulate SEED={outcome.seed} SEEDS=1")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
