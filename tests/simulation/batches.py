"""Many schedules, in several processes."""

import gc
import logging
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Final, NamedTuple

from tests.simulation.fault_schedule import KINDS
from tests.simulation.model import ScheduleOutcome, simulate

CHUNK: Final = 50
"""Schedules between two reports of a process."""


class ScheduleBatch(NamedTuple):
    """Some schedules: how many, what happened in them, and the first that broke a promise."""

    schedules: int
    counts: Counter[str]
    broken: ScheduleOutcome | None


def run_batches(first: int, seeds: int, processes: int) -> Iterator[ScheduleBatch]:
    """Chunks of schedules from a seed on, as they end. With one process they run in this one."""
    ranges = [range(seed, min(seed + CHUNK, first + seeds)) for seed in range(first, first + seeds, CHUNK)]
    if processes == 1 or len(ranges) == 1:
        yield from map(run, ranges)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            for done in as_completed([pool.submit(run, batch) for batch in ranges]):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run(seeds: range) -> ScheduleBatch:
    """Run schedules one after the other; ends with the first that breaks a promise."""
    logging.disable(logging.CRITICAL)
    gc.disable()  # the cycles of one chunk are few; looking for them all the time costs a tenth
    gc.freeze()  # and what is there permanently need not be looked at
    counts: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    for number, seed in enumerate(seeds, start=1):
        outcome = simulate(seed)
        counts.update(outcome.counts)
        if outcome.broken:
            return ScheduleBatch(number, counts, outcome)
    gc.collect()
    return ScheduleBatch(len(seeds), counts, None)
