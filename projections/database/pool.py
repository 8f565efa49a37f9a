"""The pool of connections: it hands out only live ones, and never those of another process."""

import os
import select
import time
from typing import Any

from eventsourcing.postgres import ConnectionPool
from psycopg import Connection
from psycopg.rows import DictRow
from psycopg_pool import TooManyRequests

from projections.database.servers.stale_server_watch import StaleServerWatch


class ForkedPoolError(RuntimeError):
    """This pool was created before a fork, and its connections are the parent's: open the ledger after the fork."""


class LedgerPool(ConnectionPool[Connection[DictRow]]):
    """Checks a connection before it hands it out.

    After a restart of the server all connections of a pool are dead. psycopg's own check costs a round trip, and
    waits a second after each dead one; checking whether the socket is readable costs a microsecond.
    """

    _made_by = 0

    def __init__(self, database_url: str, **options: Any) -> None:
        super().__init__(database_url, **options)
        self.database_url = database_url
        self._used_since: dict[Connection[DictRow], float] = {}
        self._watch: StaleServerWatch | None = None

    def claim_for_this_process(self) -> None:
        """Claim the pool for this process.

        Raises:
            ForkedPoolError: Another process owns it. Threads that do not exist here may hold its locks.
        """
        if self._made_by and self._made_by != os.getpid():
            raise ForkedPoolError(ForkedPoolError.__doc__)
        self._made_by = os.getpid()
        if self._watch is None:
            self._watch = StaleServerWatch(self)

    def getconn(self, timeout: float | None = None) -> Connection[DictRow]:
        """Return a connection that the server has not closed.

        Raises:
            psycopg_pool.PoolTimeout: No connection became free, or could be opened, in time.
            ForkedPoolError: Another process owns the pool.
        """
        self.claim_for_this_process()
        for _ in range(self.max_size):
            conn = self._wait_for_connection(timeout)
            if not _has_hung_up(conn):
                break
            conn.close()
            self.putconn(conn)
        else:
            conn = self._wait_for_connection(timeout)
        self._used_since[conn] = time.monotonic()
        if self._watch is not None:
            self._watch.note_lent()
        return conn

    def putconn(self, conn: Connection[DictRow]) -> None:
        """Take a connection back."""
        self._used_since.pop(conn, None)
        super().putconn(conn)

    def close(self, timeout: float = 5.0) -> None:
        """Close all connections, and end the watch over them."""
        if self._watch is not None:
            self._watch.close()
        super().close(timeout)

    def _wait_for_connection(self, timeout: float | None) -> Connection[DictRow]:
        """Wait in the queue of the library.

        A caller that gave up stays in that queue until a connection comes. In an outage those fill it, and a full
        queue refuses callers without trying to connect: no connection would ever come.
        """
        try:
            return super().getconn(timeout)
        except TooManyRequests:
            if not self._remove_callers_that_gave_up():
                raise
            return super().getconn(timeout)

    def _remove_callers_that_gave_up(self) -> bool:
        """Return whether there were any."""
        with self._lock:
            waiting = [position for position in self._waiting if position.error is None]
            count = len(self._waiting) - len(waiting)
            self._waiting.clear()
            self._waiting.extend(waiting)
        return count > 0

    def list_used(self, for_s: float) -> list[Connection[DictRow]]:
        """Return the connections that are in use for at least so many seconds."""
        since = time.monotonic() - for_s
        return [conn for conn, used_since in list(self._used_since.items()) if used_since <= since]

    def list_all(self) -> list[Connection[DictRow]]:
        """Return the connections that are in use, and those that are free."""
        return [*list(self._used_since), *list(self._pool)]


def _has_hung_up(conn: Connection[DictRow]) -> bool:
    """Tell whether the server sent something unasked: that it closes, or has closed, the connection."""
    if conn.closed:
        return True
    news = select.poll()
    news.register(conn.fileno(), select.POLLIN)
    return bool(news.poll(0))
