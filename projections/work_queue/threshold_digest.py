"""The email to operators about crossed thresholds: the events since the last one become one email."""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import Struct
from psycopg import Cursor
from psycopg.rows import tuple_row

from projections.event_store.stored_state import state_decoder
from projections.sql.work_queue import WorkQueueSql
from projections.storage.bootstrap import LedgerStore

CROSSINGS_MAX: Final = 100
"""Crossings of one email; the next ones are in the next email."""


class Crossing(NamedTuple):
    """A threshold that was crossed.

    Attributes:
        stream_id: The code or campaign.
        campaign_name: None: a code crossed it.
        threshold: Such as `80%`, `10 left` or `7 days`.
        at: When.
        group: Of the code or campaign now, if it names one.
        ends_at: Its end now, if it has one.
    """

    stream_id: UUID
    campaign_name: str | None
    threshold: str
    at: datetime
    group: str | None
    ends_at: datetime | None


class DueDigest(NamedTuple):
    """A digest that a worker has leased.

    Attributes:
        crossings: In the order of the log; none, if a worker that ended may have sent them: they are not sent again.
        position: Of the event before the first one.
        until: Of the last one.
        attempts: Number of this attempt, from 1.
        leased_until: End of the lease.
    """

    crossings: list[Crossing]
    position: int
    until: int
    attempts: int
    leased_until: datetime


class _StoredCrossing(Struct):
    at: datetime
    threshold: str


_read_crossing: Final = state_decoder(_StoredCrossing)


class ThresholdDigestRow:
    """The digest in PostgreSQL. A lease is longer than any message takes.

    Args:
        storage: The ledger.
        window: How long the first crossing waits for others.
        lease: Of the worker that sends it.
    """

    def __init__(self, storage: LedgerStore, window: timedelta, lease: timedelta) -> None:
        self._datastore, self._window, self._lease = storage.datastore, window, lease

    def take(self, now: datetime, quiet_until: datetime | None) -> DueDigest | None:
        """Lease the digest if it is due; None if there is none, or another worker has it.

        Args:
            now: Database time.
            quiet_until: End of the quiet hours that include `now`; a due digest is postponed until then.
        """
        with self._datastore.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(WorkQueueSql.lock_digest).fetchone()
            if row is None:
                cursor.execute(WorkQueueSql.begin_digest)
                return None
            position, due_at, attempts, sending_until = row
            if due_at is None:
                if _read(cursor, position, 1):
                    cursor.execute(WorkQueueSql.store_digest, (position, now + self._window, 0, None))
                return None
            if due_at > now:
                return None
            if sending_until is not None and sending_until > position:  # a worker ended before it stored an outcome
                cursor.execute(WorkQueueSql.store_digest, (sending_until, None, 0, None))
                return DueDigest([], position, sending_until, attempts, due_at)
            if quiet_until is not None:
                cursor.execute(WorkQueueSql.store_digest, (position, quiet_until, attempts, None))
                return None
            events = _read(cursor, position, CROSSINGS_MAX)
            leased_until, until = now + self._lease, events[-1][0]
            cursor.execute(WorkQueueSql.store_digest, (position, leased_until, attempts + 1, until))
            return DueDigest([each for _, each in events], position, until, attempts + 1, leased_until)

    def close(self, digest: DueDigest) -> None:
        """End with a digest that was sent, or is given up: the next crossing begins another one."""
        self._store(digest, digest.until, None, 0)

    def put_off(self, digest: DueDigest, due_at: datetime, *, counts: bool) -> None:
        """Have it sent again at `due_at`, together with what is crossed until then.

        Args:
            digest: The digest.
            due_at: When.
            counts: Whether the attempt counts.
        """
        self._store(digest, digest.position, due_at, digest.attempts if counts else digest.attempts - 1)

    def _store(self, digest: DueDigest, position: int, due_at: datetime | None, attempts: int) -> None:
        with self._datastore.get_connection() as conn:
            conn.execute(WorkQueueSql.close_digest, (position, due_at, attempts, digest.leased_until))


def _read(cursor: Cursor[Any], position: int, limit: int) -> list[tuple[int, Crossing]]:
    """Return the next crossings after a position, with theirs."""
    crossings: list[tuple[int, Crossing]] = []
    rows = cursor.execute(WorkQueueSql.crossings_after, (position, limit))
    for at_position, stream_id, state, name, group, ends_at in rows:
        stored = _read_crossing(bytes(state))
        crossings.append((at_position, Crossing(stream_id, name, stored.threshold, stored.at, group, ends_at)))
    return crossings
