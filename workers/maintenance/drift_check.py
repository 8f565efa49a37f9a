"""The spot check of every minute: rows of some codes are compared with a fold of their events. It repairs nothing."""

import logging
from datetime import datetime

from projections.storage.bootstrap import LedgerStore
from projections.verification.drift_sample import SampleResult, sample_codes

CODES_PER_ROUND = 50

log = logging.getLogger(__name__)


def check_sample(storage: LedgerStore, now: datetime) -> SampleResult:
    """Check a random sample and log what is wrong; the result is stored for metrics."""
    drift_sample = sample_codes(storage, CODES_PER_ROUND, now)
    for drift in drift_sample.drifts:
        log.error("row differs from the log", extra={"table": drift.table, "row_id": str(drift.row_id)})
    for finding in drift_sample.findings:
        fields = {"rule": finding.rule, "event_type": finding.type, "version": finding.version}
        log.error("rule broken", extra={**fields, "code_id": str(finding.stream)})
    return drift_sample
