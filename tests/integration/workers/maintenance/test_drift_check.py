"""The minute's sample: what metrics show of it, and that it repairs nothing."""

import psycopg

from projections.monitoring.ledger_collector import LedgerCollector
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.metric_samples import samples
from workers.maintenance.drift_check import CODES_PER_ROUND, check_sample


def test_drift_is_exported_until_it_is_repaired(bench: LedgerBench) -> None:
    """Rows that differ, the time and the position of the last check; the row stays wrong."""
    count = min(30, CODES_PER_ROUND)
    for _ in range(count):
        done(bench.redeem(bench.issue(), "li.wei@example.com"))
    with psycopg.connect(bench.database_url) as conn:
        conn.execute("UPDATE code_balances SET used = 1")
    now = bench.storage.recorder.clock.now()

    drifting = check_sample(bench.storage, now).drifting
    shown = samples(LedgerCollector(bench.database_url)())

    assert (drifting, shown["ledger_projection_drift"]) == (count, float(count))
    assert now.timestamp() == shown['ledger_verified_timestamp_seconds{kind="sample"}']
    assert shown['ledger_verified_position{kind="sample"}'] == 2.0 * count
    assert bench.rows("SELECT count(*) FROM code_balances WHERE used = 1") == [(count,)]
