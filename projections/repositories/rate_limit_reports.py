"""Counts of rate limits that API processes exchange, in an unlogged table that holds some minutes.

No request reads it or waits for it. A lost report makes the limits of the other processes a little wider, once.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from projections.sql.repositories import RepositoriesSql
from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

RETENTION_S: Final = 600.0
"""As long as failed IP addresses are remembered: a new process reads them from the reports of the others."""
OVERLAP_S: Final = 5.0
"""Overlap with the last read: a report may become visible after a later one."""
ROWS_MAX: Final = 2_000
"""Most reports of one read."""
PRUNE_EVERY_CALLS: Final = 60
"""Exchanges between two deletions of old rows."""


class RateLimitCounts(NamedTuple):
    """One process's counts since its last report.

    Attributes:
        unknown: Requests with codes that do not exist.
        redeemed: Redeem requests that made a reservation.
        spent: Units by limit and key; a key is a digest.
        age_s: How old the report is, in seconds, once it is read.
    """

    unknown: int
    redeemed: int
    spent: Mapping[tuple[str, bytes], int]
    age_s: float = 0.0


@dataclass(slots=True)
class RateLimitReportRepository:
    """Writes the reports of one process and reads those of the others."""

    storage: LedgerStore
    process_id: UUID
    monotonic: Callable[[], float] = time.monotonic
    _rounds: int = 0
    _read_at: float | None = None
    _seen: dict[UUID, int] = field(default_factory=dict)

    def exchange(self, report: RateLimitCounts | None) -> list[RateLimitCounts]:
        """Write a report, and return those of other processes since the last call, in one statement. It may block.

        Raises:
            eventsourcing.persistence.PersistenceError: The database is unavailable; no report was written.
        """
        started = self.monotonic()
        since_s = RETENTION_S if self._read_at is None else min(RETENTION_S, started - self._read_at + OVERLAP_S)
        self._rounds += 1
        with self.storage.datastore.get_connection() as conn:
            if self._rounds % PRUNE_EVERY_CALLS == 1:
                conn.execute(WorkQueueSql.prune_limit_reports, (RETENTION_S,))
            rows = conn.execute(RepositoriesSql.exchange_limit_reports, self._parameters(report, since_s)).fetchall()
        self._read_at = started
        fresh = [row for row in rows if row["number"] > self._seen.get(row["process_id"], 0)]
        self._seen = {row["process_id"]: row["number"] for row in rows}
        return [_to_counts(row) for row in fresh]

    def _parameters(self, report: RateLimitCounts | None, since_s: float) -> dict[str, object]:
        report = report or RateLimitCounts(0, 0, {})
        return {
            "process_id": self.process_id,
            "number": self._rounds,
            "unknown": report.unknown,
            "redeemed": report.redeemed,
            "limits": [name for name, _ in report.spent],
            "keys": [key for _, key in report.spent],
            "counts": list(report.spent.values()),
            "since_s": since_s,
            "most": ROWS_MAX,
        }


def _to_counts(row: Mapping[str, Any]) -> RateLimitCounts:
    keys = zip(row["limits"], (bytes(key) for key in row["keys"]), strict=True)
    spent = dict(zip(keys, row["counts"], strict=True))
    return RateLimitCounts(row["unknown"], row["redeemed"], spent, max(0.0, row["age_s"]))
