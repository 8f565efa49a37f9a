"""Access grants about which something is due."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from domain.values.timestamps import CLOCK_STEP
from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore
from projections.work_queue.impossible_times import find_bounds

TAKEN_MAX = 50
"""Access grants leased in one commit. Few, so that little is repeated if the worker dies."""


BUSY_S = 120
"""Least length of a lease in seconds."""


class LeasedAccess(NamedTuple):
    """An access about which something is due, under a lease.

    Attributes:
        lost_attempt: Number of the removal that a worker asked for whose lease ended without an outcome; None for none.
    """

    reservation_id: UUID
    lost_attempt: int | None = None


class DueAccessRows:
    """`DueAccessQueue` in PostgreSQL. A lease, of `lease_s`, is longer than any removal takes."""

    def __init__(self, storage: LedgerStore, lease_s: float = BUSY_S) -> None:
        self._datastore = storage.datastore
        self.lease = timedelta(seconds=lease_s)

    def take(self, now: datetime, limit: int = TAKEN_MAX) -> list[LeasedAccess]:
        """Lease reservations whose access is due, longest due first."""
        params = {**self._lease_bounds(now), "limit": limit}
        with self._datastore.get_connection() as conn:
            rows: Sequence[Any] = conn.execute(WorkQueueSql.take_due_access, params).fetchall()
        return [LeasedAccess(row["reservation_id"], row["attempt"]) for row in rows]

    def hold(self, reservation_ids: Sequence[UUID], now: datetime) -> list[LeasedAccess]:
        """Lease those of these reservations that no other worker has."""
        params = {**self._lease_bounds(now), "reservation_ids": list(reservation_ids)}
        with self._datastore.get_connection() as conn:
            rows: Sequence[Any] = conn.execute(WorkQueueSql.hold_access, params).fetchall()
        return [LeasedAccess(row["reservation_id"], row["attempt"]) for row in rows]

    def begin_removal(self, reservation_id: UUID, attempt: int, leased_at: datetime) -> bool:
        """Store which removal is asked for now; return False if the lease that began at a time was lost."""
        with self._datastore.get_connection() as conn:
            values = (attempt, reservation_id, leased_at + self.lease)
            return conn.execute(WorkQueueSql.begin_removal, values).rowcount > 0

    def give_back(self, reservation_ids: Sequence[UUID], leased_at: datetime, recorded_ids: Collection[UUID]) -> None:
        """End leases that began at a time: any worker may lease what is due next.

        A removal that a worker asked for keeps its number unless its outcome is among `recorded_ids`, so that the next
        worker records it as lost.
        """
        params = {
            "reservation_ids": list(reservation_ids),
            "recorded_ids": list(recorded_ids),
            "leased_at": leased_at,
            "until": leased_at + self.lease,
        }
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.give_back_access, params)

    def find_impossible(self, now: datetime) -> list[UUID]:
        """Return reservations whose access may have a due time that was stored before the clock went back."""
        params = {**find_bounds(now), "limit": TAKEN_MAX}
        with self._datastore.get_connection() as conn:
            rows: Sequence[Any] = conn.execute(WorkQueueSql.take_impossible_access, params).fetchall()
        return [row["reservation_id"] for row in rows]

    def _lease_bounds(self, now: datetime) -> dict[str, datetime]:
        """Return until when a lease lasts that begins now, and the latest end that one can have."""
        until = now + self.lease
        return {"now": now, "until": until, "longest": until + CLOCK_STEP}
