"""`make simulate SEEDS=N`: many schedules, over all processors; the first one that breaks a promise is shown and ends it.

A failing seed replays exactly: `make simulate SEED=that SEEDS=1`.
"""

import argparse
import gc
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.simulation.faults import KINDS
from tests.simulation.world import Outcome, simulate

CHUNK = 50
"""Schedules between two reports of a process."""
TOLD_EVERY_S = 10.0


def main() -> int:
    """Run schedules; 0 if every promise held."""
    arguments = _arguments()
    first, seeds = arguments.seed, arguments.seeds
    if arguments.trace:
        print("\n".join(simulate(first, is_told=True).trace))
    counts: Counter[str] = Counter()
    started = told = time.monotonic()
    done = 0
    for number, found, broken in _chunks(first, seeds, arguments.processes):
        done += number
        counts += found
        if broken is not None:
            _show(broken)
            return 1
        if time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            print(f"{done} schedules, {done / (told - started):.0f} per second", flush=True)
    seconds = time.monotonic() - started
    for name, count in sorted(counts.items()):
        print(f"{name:36}{count:>10}")
    print(f"{done} schedules from seed {first}, {done / seconds:.0f} per second; every promise held")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate", description="Deterministic simulation of the ledger.")
    parser.add_argument("--seeds", type=int, default=2000, help="how many schedules")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed; the others follow")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trace", action="store_true", help="show what happens in the first schedule")
    return parser.parse_args()


Chunk = tuple[int, Counter[str], Outcome | None]


def _chunks(first: int, seeds: int, processes: int) -> Iterator[Chunk]:
    """Chunks as they end; a single one runs here, so that it can be debugged."""
    ranges = [(seed, min(seed + CHUNK, first + seeds)) for seed in range(first, first + seeds, CHUNK)]
    if processes == 1 or len(ranges) == 1:
        yield from map(_chunk, ranges)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(_chunk, ranges)


def _chunk(seeds: tuple[int, int]) -> Chunk:
    """Some schedules; ends with the first that breaks a promise."""
    logging.disable(logging.CRITICAL)
    gc.disable()  # the cycles of one chunk are few; looking for them all the time costs a tenth
    counts: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    for number, seed in enumerate(range(*seeds), start=1):
        outcome = simulate(seed)
        counts.update(outcome.counts)
        if outcome.broken:
            return number, counts, outcome
    gc.collect()
    return len(range(*seeds)), counts, None


def _show(outcome: Outcome) -> None:
    print("\n".join(outcome.trace))
    print()
    for broken in outcome.broken:
        print(f"BROKEN: {broken}")
    print(f"\nseed {outcome.seed} breaks a promise; replay it with: make simulate SEED={outcome.seed} SEEDS=1")


if __name__ == "__main__":
    sys.exit(main())
