"""The simulation can fail: each planted bug is found within a bounded number of schedules."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.bugs.planted_bugs import PLANTED_BUGS
from tests.simulation.model import simulate

pytestmark = pytest.mark.slow

SEEDS_MAX = 3000


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Broken code logs a lot."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_no_planted_bug_is_lost() -> None:
    """A bug that is removed is missed here."""
    assert len(PLANTED_BUGS) == 49


@pytest.mark.parametrize("name", PLANTED_BUGS)
def test_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the seed that found it is all right without it."""
    with monkeypatch.context() as patch:
        PLANTED_BUGS[name](patch)
        failing_seed = next((seed for seed in range(SEEDS_MAX) if simulate(seed).broken), None)

    assert failing_seed is not None
    assert simulate(failing_seed).broken == []
