"""The slice of simulations that every run of the suite makes; `make simulate` makes as many as one likes.

In several parts, so that they run beside one another: each part is some hundred schedules from seeds of its own.
"""

import gc
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from domain.events import EVENT_TYPES
from tests.simulation.faults import KINDS
from tests.simulation.world import simulate

SEEDS = 2000
PRINT_TRACES = """
import hashlib
from tests.simulation.world import simulate
for seed in range(20):
    told = "\\n".join(simulate(seed, is_told=True).trace)
    print(seed, hashlib.sha256(told.encode()).hexdigest())
"""


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Looking for cycles all the time costs a tenth."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.timeout(300)
def test_every_promise_holds_and_everything_happens() -> None:
    """2,000 schedules break no promise; every fault and every type of event is among them, so none is hollow."""
    counts: Counter[str] = Counter()
    with quiet_collector():
        for seed in range(SEEDS):
            outcome = simulate(seed)
            assert outcome.broken == [], "\n".join([*outcome.trace, *outcome.broken, f"seed {seed}"])
            counts += outcome.counts

    wanted = [*KINDS, *(f"event {kind.__name__}" for kind in EVENT_TYPES)]
    assert [name for name in wanted if not counts[name]] == []
    assert counts["event UseReserved"] > SEEDS
    assert counts["promises"] > 2 * SEEDS


def test_a_seed_replays_exactly() -> None:
    """The same trace in another process, whatever seed it hashes strings with."""
    traces = {_traces(hash_seed) for hash_seed in ("1", "2")}

    assert len(traces) == 1


def _traces(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_TRACES],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return done.stdout
