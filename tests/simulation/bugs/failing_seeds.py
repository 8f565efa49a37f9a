"""`python -m tests.simulation.bugs.failing_seeds`: write which seed finds each planted bug, where a search begins.

After a change of the simulation, other seeds find them. Each search then takes longer, until these are written again.
"""

import json
import logging
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.bugs.planted_bugs import PLANTED_BUGS
from tests.simulation.model import simulate

SEEDS_MAX: Final = 3000
FILE: Final = Path(__file__).with_name("failing_seeds.json")


def find_failing_seed(name: str, first: int) -> int | None:
    """Return a seed below SEEDS_MAX that finds a planted bug, the first one if it does; None if no seed does."""
    logging.disable(logging.CRITICAL)  # broken code logs a lot
    with pytest.MonkeyPatch.context() as patch:
        PLANTED_BUGS[name](patch)
        return next((seed for seed in (first, *range(SEEDS_MAX)) if simulate(seed).broken), None)


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
