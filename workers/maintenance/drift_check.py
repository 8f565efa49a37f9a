"""The minute's spot check: some codes' rows against a fold of their log. Reports, never repairs."""

import logging
from datetime import datetime

from projections.storage.bootstrap import LedgerStore
from projections.verification.drift_sample import SampleResult, sample_codes

CODES_PER_ROUND = 50

log = logging.getLogger(__name__)


def check_sample(storage: LedgerStore, now: datetime) -> SampleResult:
    """Check a random sample, log what is wrong; metrics ask the database for what is known by now."""
    drift_sample = sample_codes(storage, CODES_PER_ROUND, now)
    for drift in drift_sample.drifts:
        log.error("%s %s differs from the log: repair it with `ledger rebuild --apply`", drift.table, drift.row_id)
    for finding in drift_sample.findings:
        log.error(
            "rule broken: %s, by %s version %s of %s", finding.rule, finding.type, finding.version, finding.stream
        )
    return drift_sample
