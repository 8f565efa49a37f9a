"""Metrics of the ledger, read from the database, so that no restart resets a count.

Every instance exports the same values: alerts and dashboards take the maximum, not the sum.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, get_args

import psycopg
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from psycopg.rows import namedtuple_row

from domain.events.event import AccessEnding, RefundCause
from domain.events.registry import EVENT_TYPES
from projections.database.connection import connect, connection_options
from projections.database.errors import is_outage
from projections.monitoring.event_counters import CLICK_TO_SENT_S, update_counters
from projections.monitoring.relay_lag import measure_relays
from projections.repositories.api_keys import find_ending_keys
from projections.sql.monitoring import MonitoringSql
from projections.verification.drift_sample import last_verified
from projections.work_queue.impossible_times import TABLES_WITH_TIMES, review_times_of

AGE_S_MAX: Final = 5.0
"""Age in seconds up to which results are reused, so that frequent scrapes do not become a load."""
STATEMENT_MS_MAX: Final = 3_000

OUTCOMES: Final = {
    "sent": "InviteSent",
    "failed": "InviteFailed",
    "deferred": "InviteDeferred",
    "unknown": "InviteOutcomeUnknown",
    "late": "LateSuccessRecorded",
}
"""Types of events that count as outcomes of attempts."""

CLEANUP_STATUSES: Final = ("removing", "removed", "told", "removal_failed")
"""As in `domain.model.access.Removal`: each ended access counts as removing, and again with the outcome."""

log = logging.getLogger(__name__)


class _Gauge(NamedTuple):
    name: str
    text: str
    column: str


GAUGES: Final = (
    _Gauge(
        "ledger_sweep_lag_seconds", "Seconds since the oldest due work became due; negative before that.", "sweep_lag"
    ),
    _Gauge("ledger_pending_reservations", "Pending reservations that are not parked.", "pending"),
    _Gauge(
        "ledger_oldest_pending_seconds", "Age of the oldest pending reservation that is not parked.", "oldest_pending"
    ),
    _Gauge(
        "ledger_overdue_seconds",
        "Seconds since the earliest deadline of a pending reservation; negative before the deadline.",
        "overdue",
    ),
    _Gauge("ledger_open_cases", "Open cases, which need manual review.", "open_cases"),
    _Gauge("ledger_oldest_case_seconds", "Age of the oldest open case.", "oldest_case"),
    _Gauge("ledger_log_position", "Log position of the newest event.", "position"),
    _Gauge("ledger_tallied_position", "Log position up to which the counters are computed.", "tallied"),
    _Gauge("ledger_merkle_size", "Events in the Merkle log.", "merkle_size"),
    _Gauge("ledger_merkle_position", "Log position up to which events are in the Merkle log.", "merkle_position"),
    _Gauge(
        "ledger_projection_drift",
        "Rows known to differ from the event log, and invariants known to be broken.",
        "drift",
    ),
    _Gauge("ledger_pending_notices", "Pending notices of refunds and of ending access.", "notices"),
    _Gauge("ledger_webhook_pending", "Pending messages of enabled webhook endpoints.", "hooks_pending"),
    _Gauge("ledger_webhook_oldest_pending_seconds", "Age of the oldest pending webhook message.", "hooks_oldest"),
    _Gauge(
        "ledger_webhook_behind", "Log positions that the slowest enabled webhook endpoint is behind.", "hooks_behind"
    ),
    _Gauge(
        "ledger_webhook_endpoints_given_up", "Webhook endpoints disabled after a 410 or repeated failures.", "hooks_out"
    ),
    _Gauge("ledger_relay_behind", "Log positions that the slowest relay is behind.", "relay_behind"),
    _Gauge(
        "ledger_relay_oldest_seconds",
        "Age of the oldest event that the slowest relay has not passed on.",
        "relay_oldest",
    ),
    _Gauge("ledger_relay_beyond", "Relays whose position is after the end of the log.", "relay_beyond"),
    _Gauge("ledger_relay_failures", "Most failures in a row of a relay.", "relay_failures"),
    _Gauge("ledger_rebuild_running", "1 while a rebuild is running.", "rebuilds"),
    _Gauge("ledger_rebuild_progress_ratio", "Progress of the current step of a rebuild, 0 to 1.", "rebuilt"),
    _Gauge("ledger_database_connections", "Client connections to the PostgreSQL server.", "connections"),
    _Gauge(
        "ledger_database_connections_max", "Maximum number of connections to the PostgreSQL server.", "connections_max"
    ),
    _Gauge("ledger_database_bytes", "Size of the database.", "bytes"),
    _Gauge(
        "ledger_scheduler_lease_seconds",
        "Seconds until the lease of the beat that schedules expires; 0 or negative while none schedules.",
        "scheduler_lease",
    ),
    _Gauge("ledger_scheduler_fence", "How often another beat took the scheduling over, plus 1.", "scheduler_fence"),
    _Gauge(
        "ledger_last_backup_timestamp_seconds",
        "Time of the last complete `ledger backup`, as a Unix timestamp; 0 if there was none.",
        "backup_at",
    ),
    _Gauge("ledger_backup_wal_behind_bytes", "WAL that `ledger backup --every` has not received yet.", "backup_behind"),
    _Gauge("ledger_api_keys_ending", "API keys that end within 14 days and are still needed.", "keys_ending"),
)
KINDS: Final = ("sample", "full")


@dataclass(frozen=True, slots=True)
class _LedgerStats:
    """The results of one query."""

    is_up: bool = False
    gauges: dict[str, float] = field(default_factory=dict)
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    verified: dict[str, tuple[float, int]] = field(default_factory=dict)
    impossible_times: dict[str, int] = field(default_factory=dict)


class LedgerCollector:
    """Collects the ledger's metrics, a few seconds old at most.

    If the database is unavailable, the last values are exported, and that it is unavailable.

    Args:
        database_url: For a separate connection, because the pool may be part of the problem.
        clock: Monotonic seconds.
    """

    def __init__(self, database_url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._database_url = database_url
        self._clock = clock
        self._stats = _LedgerStats()
        self._queried_at: float | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Iterator[Metric]:
        """Yield all metrics."""
        stats = self._refresh()
        yield GaugeMetricFamily("ledger_database_up", "1 while the database answers.", float(stats.is_up))
        for gauge in GAUGES:
            yield GaugeMetricFamily(gauge.name, gauge.text, stats.gauges.get(gauge.column, 0.0))
        impossible = GaugeMetricFamily(
            "ledger_impossible_times",
            "Rows with a time that the database's clock has not reached, by table; none while the clock is right.",
            labels=["table"],
        )
        for name in TABLES_WITH_TIMES:
            impossible.add_metric([name], stats.impossible_times.get(name, 0))
        yield impossible
        yield from _verifications(stats)
        yield from _counters(stats)
        yield _click_to_sent(stats)

    def _refresh(self) -> _LedgerStats:
        with self._lock:
            if self._queried_at is None or self._clock() - self._queried_at >= AGE_S_MAX:
                try:
                    self._stats = self._query()
                except psycopg.Error as error:
                    if is_outage(error):
                        log.warning("reading metrics from the database failed", extra={"why": type(error).__name__})
                        self._stats = replace(self._stats, is_up=False)
                    else:
                        log.exception("computing metrics failed")
                self._queried_at = self._clock()
            return self._stats

    def _query(self) -> _LedgerStats:
        options = connection_options(self._database_url, statement_timeout_ms=STATEMENT_MS_MAX)
        with connect(self._database_url, **options) as conn:
            update_counters(conn)
            with conn.cursor(row_factory=namedtuple_row) as cursor:
                row = cursor.execute(MonitoringSql.ledger_gauges).fetchall()[0]
            keys_ending, _ = find_ending_keys(conn)
            relays = measure_relays(conn)
            counters = {(name, label): count for name, label, count in conn.execute(MonitoringSql.counters)}
            with conn.transaction(force_rollback=True):
                impossible_times = review_times_of(conn)
            verified = {last.kind: (last.at.timestamp(), last.position) for last in last_verified(conn)}
        gauges = {**_gauges(row), "keys_ending": float(keys_ending), **relays}
        return _LedgerStats(
            is_up=True, gauges=gauges, counters=counters, verified=verified, impossible_times=impossible_times
        )


def _gauges(row: Any) -> dict[str, float]:  # noqa: ANN401 - a named tuple made from the columns
    stats = {name: float(value) for name, value in row._asdict().items()}
    if not stats["rebuilds"]:
        stats["rebuilt"] = 0.0  # what a rebuild that was killed left behind
    return stats


def _verifications(stats: _LedgerStats) -> Iterator[Metric]:
    at = GaugeMetricFamily(
        "ledger_verified_timestamp_seconds",
        "Time of the last comparison of the read models with the event log, as a Unix timestamp.",
        labels=["kind"],
    )
    position = GaugeMetricFamily(
        "ledger_verified_position", "Log position up to which the last comparison went.", labels=["kind"]
    )
    for kind in KINDS:
        verified_at, position_reached = stats.verified.get(kind, (0.0, 0))
        at.add_metric([kind], verified_at)
        position.add_metric([kind], position_reached)
    yield at
    yield position


def _counters(stats: _LedgerStats) -> Iterator[Metric]:
    def count(name: str, label: str) -> int:
        return stats.counters.get((name, label), 0)

    events = CounterMetricFamily("ledger_events", "Events in the event log, by type.", labels=["type"])
    for name in EVENT_TYPES:
        events.add_metric([name], count("events", name))
    attempts = CounterMetricFamily("ledger_attempts", "Sending attempts by outcome.", labels=["outcome"])
    for outcome, name in OUTCOMES.items():
        attempts.add_metric([outcome], count("events", name))
    refunds = CounterMetricFamily("ledger_refunds", "Refunded uses, by cause.", labels=["cause"])
    for cause in get_args(RefundCause):
        refunds.add_metric([cause], count("refunds", cause))
    cleanup = CounterMetricFamily(
        "expired_user_cleanup",
        "Access grants that ended, by status of the removal and reason.",
        labels=["status", "reason"],
    )
    for status in CLEANUP_STATUSES:
        for reason in get_args(AccessEnding):
            cleanup.add_metric([status, reason], count("cleanup", f"{status}/{reason}"))
    yield from (events, attempts, refunds, cleanup)


def _click_to_sent(stats: _LedgerStats) -> Metric:
    """Return the histogram from the redeem request to the mail server's acceptance, for first deliveries."""
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound in (*CLICK_TO_SENT_S, "+Inf"):
        label = bound if isinstance(bound, str) else f"{bound:g}"
        total += stats.counters.get(("click_to_sent", label), 0)
        buckets.append((label, total))
    seconds = stats.counters.get(("click_to_sent_ms", ""), 0) / 1000
    family = HistogramMetricFamily(
        "ledger_click_to_sent_seconds", "Time from a redeem request until the mail server accepted the first delivery."
    )
    family.add_metric([], buckets, seconds)
    return family
