"""The outbox of notices: each is sent under a lease."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

BUSY_S = 10.0
"""If an invitation is overdue for longer, in seconds, the workers are busy.

Retries are found within some five seconds.
"""


LEASE_S: Final = 90
"""Least length of a notice's lease in seconds. Each notice is leased when its turn comes."""
NO_LEASE: Final = datetime.max.replace(tzinfo=UTC)
"""End of the lease where no other worker takes notices."""


PUT_OFF = "put_off"


def invitations_are_backed_up(storage: LedgerStore, now: datetime) -> bool:
    """Return whether more invitations are due than workers can send: then notices wait.

    Otherwise invitations that miss their deadline would cause notices, which take workers from invitations.
    """
    with storage.datastore.get_connection() as conn:
        row: Any = conn.execute(WorkQueueSql.oldest_due).fetchone()
    oldest: datetime | None = row["oldest_due"]
    return oldest is not None and oldest < now - timedelta(seconds=BUSY_S)


class DueNotice(NamedTuple):
    """A notice that a worker has leased.

    Attributes:
        reservation_id: Which reservation it is about.
        template: Which text.
        written_at: When it was put into the outbox.
        attempts: Number of this attempt, from 1.
        recent: Notices that the same recipient was sent within the last hour.
        last_outcome: Outcome of the attempt before; None for the first one, or if its worker stored none.
        leased_until: End of the lease.
    """

    reservation_id: UUID
    template: str
    written_at: datetime
    attempts: int
    recent: int = 0
    last_outcome: str | None = None
    leased_until: datetime = NO_LEASE

    @property
    def may_be_sent(self) -> bool:
        """Whether a worker leased it before and ended without storing an outcome."""
        return self.attempts > 1 and self.last_outcome is None


class OutboxRows:
    """`Outbox` in PostgreSQL. A lease, of `lease_s`, is longer than any message takes."""

    def __init__(self, storage: LedgerStore, lease_s: float = LEASE_S) -> None:
        self._datastore = storage.datastore
        self._lease = timedelta(seconds=lease_s)

    def take(self, now: datetime) -> DueNotice | None:
        """Lease the notice that is due longest; None if none is due."""
        parameters = {"now": now, "leased_until": now + self._lease, "limit": 1}
        with self._datastore.get_connection() as conn:
            row: Any = conn.execute(WorkQueueSql.take_outbox, parameters).fetchone()
        return None if row is None else DueNotice(**row)

    def close(self, notice: DueNotice, due_at: datetime | None, outcome: str) -> None:
        """Store the outcome. `due_at`: when the notice is to be sent again; None for never."""
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.close_outbox, (due_at, outcome, *_key(notice)))

    def put_off(self, notice: DueNotice, due_at: datetime) -> None:
        """Return a notice without spending an attempt, to be sent at `due_at`."""
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.put_off_outbox, (due_at, PUT_OFF, *_key(notice)))


def _key(notice: DueNotice) -> tuple[UUID, str, datetime]:
    return notice.reservation_id, notice.template, notice.leased_until
