from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric

from projections.monitoring.disk import DiskCollector
from projections.monitoring.ledger_collector import LedgerCollector
from projections.storage.report_store import show_lag
from projections.telemetry.metrics import DOMAINS, declare_zeroes
from tests.support.optional_packages import may_run
from workers.monitoring.broker_watch import BrokerMonitor

collect_ignore = [] if may_run("promtool") else ["test_promtool.py"]


@pytest.fixture(scope="session")
def families() -> dict[str, Metric]:
    return {_shown(metric): metric for metric in _all()}


def _all() -> Iterator[Metric]:
    declare_zeroes()
    for metric in DOMAINS:
        yield from metric.collect()
    watch = BrokerMonitor("redis://127.0.0.1:1/0")
    yield from watch.numbers()
    watch.close()
    yield from show_lag(None)
    yield from DiskCollector(Path("/"))()
    yield from LedgerCollector("postgresql://nobody@127.0.0.1:1/none")()


def _shown(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name
