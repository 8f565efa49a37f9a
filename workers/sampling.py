"""The minute's spot check: some codes' rows against a fold of their log. Reports, never repairs."""

from projections.bootstrap import Storage
from projections.drift import Drift, sample
from projections.metrics import DRIFT

CODES_PER_ROUND = 50


def sample_drift(storage: Storage) -> list[Drift]:
    """Check a random sample and export how many rows differ."""
    found = sample(storage, CODES_PER_ROUND)
    DRIFT.set(len(found))
    return found
