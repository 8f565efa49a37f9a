"""Due reservations, as the sweep finds them and marks those that it published."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from projections.database.datastore import LedgerDatastore
from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore
from projections.work_queue.impossible_times import bring_back_times, find_bounds

TAKEN_MAX = 500
"""Reservations per sweep; at one sweep in 3 seconds that is far more than the workers send."""


GRACE_S = 2.0
"""Seconds for which the sweep leaves a new reservation to the message that the API sent to Celery."""


REPEAT_S = 2.0
"""Seconds after which a sweep repeats its first wake-up message, because a broker may have lost it.

The wait doubles with each repetition, so that a stalled mail server does not fill the broker.
"""


DOUBLINGS_MAX = 4


LONGEST = timedelta(seconds=REPEAT_S * 2**DOUBLINGS_MAX)
"""Longest wait before a wake-up message is repeated."""


@dataclass(frozen=True, slots=True)
class Due:
    """One reservation on which something is due.

    Attributes:
        settle: Whether its lease or its deadline is over; otherwise it is to be sent.
        alone: The outcome of an attempt is unknown, perhaps because its process died, so it shares no message: an
            email that kills its sender must not make attempts at others fail.
    """

    reservation_id: UUID
    settle: bool
    alone: bool = False


class DueRows:
    """`DueReservations` in PostgreSQL."""

    def __init__(self, storage: LedgerStore) -> None:
        self._datastore: LedgerDatastore = storage.datastore

    def bring_back(self, now: datetime) -> dict[str, int]:
        """Make due what waits until a time that the clock cannot have shown; return how many rows, by table."""
        with self._datastore.get_connection() as conn:
            return bring_back_times(conn, now)

    def take(self, now: datetime, limit: int = TAKEN_MAX) -> list[Due]:
        """Return due reservations without a recent wake-up message for the same due time, and mark them."""
        params = {
            "due_before": now - timedelta(seconds=GRACE_S),
            "repeat": timedelta(seconds=REPEAT_S),
            "doublings": DOUBLINGS_MAX,
            "longest": LONGEST,
            **find_bounds(now),
            "limit": limit,
        }
        with self._datastore.get_connection() as conn:
            rows: Sequence[Any] = conn.execute(WorkQueueSql.take_due, params).fetchall()
        return [Due(row["reservation_id"], row["settle"], row["alone"]) for row in rows]

    def give_back(self, reservation_ids: Sequence[UUID]) -> None:
        """Remove the marks of wake-up messages that could not be sent, so that the next sweep repeats them."""
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.forget_dispatches, (list(reservation_ids),))

    def forget(self) -> None:
        """Remove all marks, because the broker has lost its messages."""
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.forget_all_dispatches)
