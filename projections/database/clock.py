"""The database's time, for leases and deadlines that several hosts compare."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import tuple_row

from projections.sql.database import DatabaseSql

# Longest age of the offset to the database's clock.
CLOCK_REFRESH_S = 10.0


class DatabaseClock:
    """`now` in database time: our monotonic clock plus an offset that is refreshed every 10 seconds.

    Leases and deadlines of several hosts are compared with one another, so they need one clock.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._base: datetime | None = None
        self._base_at = 0.0

    def is_stale(self) -> bool:
        """Return whether the next transaction should refresh the offset."""
        return self._base is None or self._monotonic() - self._base_at > CLOCK_REFRESH_S

    def refresh(self, conn: Connection[Any]) -> None:
        """Ask the database for the time and subtract half of the round trip."""
        started = self._monotonic()
        with conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(DatabaseSql.database_now).fetchone()
        if row is None:
            raise AssertionError
        answered = self._monotonic()
        self._base_at = (started + answered) / 2
        self._base = row[0].astimezone(UTC)

    def now(self) -> datetime:
        """Return database time, aware UTC.

        Raises:
            RuntimeError: The database was never asked. This host's own time is not used instead: if it is an hour
                ahead, it would refund what is pending.
        """
        if self._base is None:
            raise RuntimeError("the database's clock was never asked")
        return self._base + timedelta(seconds=self._monotonic() - self._base_at)
