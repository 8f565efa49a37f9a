"""Caches that a process keeps of one run of one database server.

A database may come back older than a process has seen it: restored from a copy, or failed over without the last
commits. It is another server then, or the same one started again.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from psycopg import Connection

from projections.database.servers.bounded_connection import BoundedConnection
from projections.database.servers.known_servers import ServerIdentity

T = TypeVar("T")


class PerServer(Generic[T]):
    """The cache of the newest server that a connection led to. Another server begins with an empty one.

    A thread that still works with a connection to the former server gets a separate cache, which is then dropped.

    Args:
        make: Returns an empty cache.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._server: ServerIdentity | None = None
        self._since = 0
        self.newest = make()

    def of(self, conn: Connection[Any]) -> T:
        """Return the cache of the server that a connection leads to."""
        if not isinstance(conn, BoundedConnection) or conn.server == self._server:
            return self.newest
        if conn.number < self._since:
            return self._make()
        self._server, self._since, self.newest = conn.server, conn.number, self._make()
        return self.newest

    def forget(self) -> None:
        """Begin with an empty cache."""
        self.newest = self._make()
