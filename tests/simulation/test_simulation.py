"""The slice of simulations that every run of the suite makes; `make simulate` makes as many as one likes."""

import gc
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from domain.events.registry import EVENT_TYPES
from tests.simulation.__main__ import shrink
from tests.simulation.batches import ScheduleBatch, run
from tests.simulation.bugs.failing_seeds import read_failing_seeds
from tests.simulation.bugs.planted_bugs import PLANTED_BUGS
from tests.simulation.fault_schedule import KINDS
from tests.simulation.model import simulate
from tests.support.waiting import WAIT_S_MAX

PARTS, PART = 4, 300
by_night = pytest.mark.night(of="simulation")
PRINT_TRACES = """
import hashlib
from tests.simulation.model import simulate
for seed in range(20):
    trace = "\\n".join(simulate(seed, with_trace=True).trace)
    print(seed, hashlib.sha256(trace.encode()).hexdigest())
"""


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Chunks switch the collector and logging off for their process."""
    yield
    gc.enable()
    logging.disable(logging.NOTSET)


@cache
def part(number: int) -> ScheduleBatch:
    """A part of the slice; run once, by anyone who asks first."""
    return run(range(number * PART, (number + 1) * PART))


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(number, marks=pytest.mark.night(of="simulation")) for number in range(1, PARTS))]
)
def test_every_guarantee_holds(number: int) -> None:
    broken = part(number).broken

    assert broken is None, "\n".join([*broken.trace, *broken.broken, f"seed {broken.seed}"])


@by_night
def test_everything_happens() -> None:
    """Every fault and every type of event is in the slice, so that none of it is hollow."""
    counts: Counter[str] = Counter()
    for number in range(PARTS):
        counts.update(part(number).counts)

    expected = [*KINDS, *(f"event {name}" for name in EVENT_TYPES)]
    assert [name for name in expected if not counts[name]] == []
    assert counts["event UseReserved"] > PARTS * PART
    assert counts["own system invited after a correction"] > PARTS
    words = ["handed out", *(f"refused: {why}" for why in ("campaign", "handed_out", "listed", "used"))]
    assert [word for word in words if not counts[f"existing code {word}"]] == []
    assert [word for word in ("taken", "known") if not counts[f"offer report: {word}"]] == []
    assert [word for word in ("redeemed", "CODE_EXPIRED") if not counts[f"handed-out code: {word}"]] == []
    assert counts["line of a list with several codes"] > counts["worker ended in a line"] > 0
    assert counts["address allowed again"]
    assert counts["upload taken over"]
    assert counts["limits of a campaign count all"]
    assert counts["limits of a campaign count from now"]
    assert counts["limit is below the uses"]
    assert counts["address erased"]
    assert counts["promises"] > 2 * PARTS * PART


def test_schedules_that_once_broke_a_promise_hold() -> None:
    """Those that a night has found, shrunk to the faults that they need; `why` says what was fixed."""
    pinned = json.loads(Path(__file__).with_name("pinned_seeds.json").read_text("utf-8"))

    assert [entry for entry in pinned if simulate(entry["seed"], without=entry["without"]).broken] == []
    assert all(entry["why"] for entry in pinned)


def test_failing_schedule_shrinks_to_fewer_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """It breaks its promise all the same; a schedule that breaks none is refused."""
    name = "lapsed_lease_is_a_failure"
    seed = read_failing_seeds()[name]
    with pytest.raises(SystemExit, match=f"seed {seed} breaks no promise"):
        shrink(seed)
    logging.disable(logging.CRITICAL)
    PLANTED_BUGS[name](monkeypatch)

    without = shrink(seed)

    assert len(without) > 5
    assert simulate(seed, without=without).broken


def test_seed_replays_exactly() -> None:
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
        timeout=WAIT_S_MAX,
    )
    return done.stdout
