"""The simulation can fail: each planted bug is found by the schedule of a seed that is written down."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.bugs.failing_seeds import does_seed_fail, read_failing_seeds
from tests.simulation.bugs.planted_bugs import PLANTED_BUGS
from tests.simulation.model import simulate

FAILING_SEEDS = read_failing_seeds()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_no_planted_bug_is_lost() -> None:
    assert len(PLANTED_BUGS) == 76


@pytest.mark.parametrize("name", PLANTED_BUGS)
def test_planted_bug_is_found(name: str) -> None:
    """And the seed that found it is all right without it."""
    seed = FAILING_SEEDS.get(name, 0)

    assert does_seed_fail(name, seed), "find another seed: python -m tests.simulation.bugs.failing_seeds"
    assert simulate(seed).broken == []
