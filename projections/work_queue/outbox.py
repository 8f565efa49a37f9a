"""The outbox of notices: each is taken under a lease."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

BUSY_S = 10.0
"""An invitation that is due for longer has to wait for a process; retries are found within some five seconds."""


LEASE_S = 90
"""Longer than any one letter takes. Each notice is taken when it is its turn, so it need not last for a round."""


PUT_OFF = "put_off"


def invitations_are_backed_up(storage: LedgerStore, now: datetime) -> bool:
    """Whether there is more to send than the processes can: then no notice takes one of them.

    Else invitations that run out of time for want of a process make notices, which take processes from invitations.
    """
    with storage.datastore.get_connection() as conn:
        row: Any = conn.execute(WorkQueueSql.oldest_due).fetchone()
    oldest: datetime | None = row["oldest_due"]
    return oldest is not None and oldest < now - timedelta(seconds=BUSY_S)


class DueNotice(NamedTuple):
    """A notice that a worker took from the outbox.

    Attributes:
        reservation_id: Which reservation it is about.
        template: Which text.
        written_at: When it was put into the outbox.
        attempts: Number of this attempt, from 1.
        recent: Notices that the same recipient was sent within the last hour.
    """

    reservation_id: UUID
    template: str
    written_at: datetime
    attempts: int
    recent: int = 0


class OutboxRows:
    """`Outbox` in PostgreSQL."""

    def __init__(self, storage: LedgerStore) -> None:
        self._datastore = storage.datastore

    def take(self, now: datetime) -> DueNotice | None:
        """The one that is due longest, under a lease from now on; None if none is due."""
        parameters = {"now": now, "leased_until": now + timedelta(seconds=LEASE_S), "limit": 1}
        with self._datastore.get_connection() as conn:
            row: Any = conn.execute(WorkQueueSql.take_outbox, parameters).fetchone()
        return None if row is None else DueNotice(**row)

    def close(self, notice: DueNotice, due_at: datetime | None, outcome: str) -> None:
        """Keep what became of it. `due_at`: when it is to be tried again; None for never."""
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.close_outbox, (due_at, outcome, notice.reservation_id, notice.template))

    def put_off(self, notice: DueNotice, due_at: datetime) -> None:
        """Give it back as if it had not been taken: this was no try."""
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.put_off_outbox, (due_at, PUT_OFF, notice.reservation_id, notice.template))
