"""`python -m tests.simulation.bugs.failing_seeds`: write a seed that finds each planted bug.

After a change of the simulation, other seeds find some of them: a test fails until these are written again. A search
may take a minute, and the test of the seed that it finds takes a tenth of a second.
"""

import json
import logging
import multiprocessing
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.bugs.planted_bugs import PLANTED_BUGS
from tests.simulation.model import simulate

SEEDS_MAX: Final = 3000
FILE: Final = Path(__file__).with_name("failing_seeds.json")


def does_seed_fail(name: str, seed: int) -> bool:
    """Return whether the schedule of a seed finds a planted bug."""
    return _find(name, [seed]) is not None


def find_failing_seed(name: str, former: int) -> int | None:
    """Return the former seed if it still finds a planted bug, else the first one below SEEDS_MAX; None if none does."""
    return _find(name, (former, *range(SEEDS_MAX)))


def _find(name: str, seeds: Iterable[int]) -> int | None:
    logging.disable(logging.CRITICAL)  # broken code logs a lot
    with pytest.MonkeyPatch.context() as patch:
        PLANTED_BUGS[name](patch)
        return next((seed for seed in seeds if simulate(seed).broken), None)


def read_failing_seeds() -> dict[str, int]:
    """Read the seed of each bug."""
    seeds: dict[str, int] = json.loads(FILE.read_text("ascii"))
    return seeds


def main() -> int:
    """Write a seed of each bug; 1 if there is none for one of them."""
    former = read_failing_seeds() if FILE.exists() else {}
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        each = pool.map(find_failing_seed, PLANTED_BUGS, (former.get(name, 0) for name in PLANTED_BUGS))
        seeds = dict(zip(PLANTED_BUGS, each, strict=True))
    FILE.write_text(json.dumps(seeds, indent=1) + "\n", "ascii")
    return None in seeds.values()


if __name__ == "__main__":
    sys.exit(main())
