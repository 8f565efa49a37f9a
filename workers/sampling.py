"""The minute's spot check: some codes' rows against a fold of their log. Reports, never repairs."""

import logging
from datetime import datetime

from projections.bootstrap import Storage
from projections.drift import Sample, last_verified, sample
from projections.metrics import DRIFT, VERIFIED_POSITION, VERIFIED_TIME

CODES_PER_ROUND = 50

log = logging.getLogger(__name__)


def sample_drift(storage: Storage, now: datetime) -> Sample:
    """Check a random sample, log what is wrong, and export what is known by now."""
    found = sample(storage, CODES_PER_ROUND, now)
    for drift in found.drifts:
        log.error("%s %s differs from the log: repair it with `ledger rebuild --apply`", drift.table, drift.row_id)
    for finding in found.findings:
        log.error(
            "rule broken: %s, by %s version %s of %s", finding.rule, finding.type, finding.version, finding.stream
        )
    DRIFT.set(found.drifting)
    for last in last_verified(storage):
        VERIFIED_TIME.labels(last.kind).set(last.at.timestamp())
        VERIFIED_POSITION.labels(last.kind).set(last.position)
    return found
