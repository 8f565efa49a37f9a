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
"""Length of the lease in seconds: longer than the slowest channel takes for all of them."""


class DueAccessRows:
    """`DueAccessQueue` in PostgreSQL."""

    def __init__(self, storage: LedgerStore) -> None:
        self._datastore = storage.datastore

    def take(self, now: datetime, limit: int = TAKEN_MAX) -> list[UUID]:
        """Lease reservations whose access is due, longest due first."""
        params = {"now": now, "until": now + timedelta(seconds=BUSY_S), "limit": limit}
        with self._datastore.get_connection() as conn:
            rows: Sequence[Any] = conn.execute(WorkQueueSql.take_due_access, params).fetchall()
        return [row["reservation_id"] for row in rows]

    def give_back(self, reservation_ids: Sequence[UUID]) -> None:
        """End the leases: any worker may lease what is due next."""
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.forget_access_marks, (list(reservation_ids),))
