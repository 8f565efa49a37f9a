"""Access grants about which something is due."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

TAKEN_MAX = 50
"""Access grants leased in one commit. Few, so that little is repeated if the worker dies."""


BUSY_S = 120
"""Least length of a lease in seconds."""


class DueAccessRows:
    """`DueAccessQueue` in PostgreSQL. A lease, of `lease_s`, is longer than any removal takes."""

    def __init__(self, storage: LedgerStore, lease_s: float = BUSY_S) -> None:
        self._datastore = storage.datastore
        self.lease = timedelta(seconds=lease_s)

    def take(self, now: datetime, limit: int = TAKEN_MAX) -> list[UUID]:
        """Lease reservations whose access is due, longest due first."""
        params = {"now": now, "until": now + self.lease, "limit": limit}
        with self._datastore.get_connection() as conn:
            rows: Sequence[Any] = conn.execute(WorkQueueSql.take_due_access, params).fetchall()
        return [row["reservation_id"] for row in rows]

    def hold(self, reservation_ids: Sequence[UUID], now: datetime) -> list[UUID]:
        """Lease those of these reservations that no other worker has."""
        params = {"now": now, "until": now + self.lease, "reservation_ids": list(reservation_ids)}
        with self._datastore.get_connection() as conn:
            rows: Sequence[Any] = conn.execute(WorkQueueSql.hold_access, params).fetchall()
        return [row["reservation_id"] for row in rows]

    def give_back(self, reservation_ids: Sequence[UUID], leased_at: datetime) -> None:
        """End leases that began at a time: any worker may lease what is due next."""
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.forget_access_marks, (list(reservation_ids), leased_at + self.lease))
