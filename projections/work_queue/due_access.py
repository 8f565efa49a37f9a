"""Access grants about which something is due."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

TAKEN_MAX = 50
"""Accesses of one commit. Few, so that little is asked for twice if the worker dies."""


BUSY_S = 120
"""How long they are this worker's: longer than a channel takes for all of them, if it is as slow as it may be."""


class DueAccessRows:
    """`DueAccessQueue` in PostgreSQL."""

    def __init__(self, storage: LedgerStore) -> None:
        self._datastore = storage.datastore

    def take(self, now: datetime, limit: int = TAKEN_MAX) -> list[UUID]:
        """Reservations whose access is due, longest due first; nobody else gets them for a while."""
        params = {"now": now, "until": now + timedelta(seconds=BUSY_S), "limit": limit}
        with self._datastore.get_connection() as conn:
            rows: Sequence[Any] = conn.execute(WorkQueueSql.take_due_access, params).fetchall()
        return [row["reservation_id"] for row in rows]

    def give_back(self, reservation_ids: Sequence[UUID]) -> None:
        """They are dealt with: what is due about them next is anybody's."""
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.forget_access_marks, (list(reservation_ids),))
