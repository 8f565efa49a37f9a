"""The library's datastore over a pool of connections. Settings come as parameters."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar

from eventsourcing.postgres import PostgresDatastore
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

from projections.database.connection import BY_INDEX_OPTIONS, connection_options
from projections.database.pipeline import BufferingConnection
from projections.database.pool import ForkedPoolError, LedgerPool

_JOINED: ContextVar[tuple[object, Connection[DictRow]] | None] = ContextVar("joined transaction", default=None)
"""The datastore and the connection of the transaction that this thread's changes belong to."""


class LedgerDatastore(PostgresDatastore):
    """The library's datastore over a pool that is configured by a libpq URI, with several hosts and TLS if wanted.

    Args:
        database_url: The URI.
        pool_size: Connections at most.
        wait_s: Longest wait for one of them, in seconds.
        connection_class: Of the connections.
        reads_only: Whether each is lent in a transaction in which PostgreSQL refuses writes. A setting of the session
            would do, unless a pooler in transaction mode lends the same session to other clients.
    """

    def __init__(
        self,
        database_url: str,
        *,
        pool_size: int,
        wait_s: float,
        connection_class: type[Connection[DictRow]] = BufferingConnection,
        reads_only: bool = False,
    ) -> None:
        super().__init__(dbname="", host="", port="", user="", password="")
        self.url = database_url
        self.pool: LedgerPool = LedgerPool(
            database_url,
            connection_class=connection_class,
            kwargs={
                **connection_options(database_url, further=BY_INDEX_OPTIONS),
                "row_factory": dict_row,
                "autocommit": True,
            },
            min_size=1,
            max_size=pool_size,
            configure=_begin_read_only if reads_only else None,
            open=False,
            timeout=wait_s,
            max_waiting=pool_size * 16,
            max_lifetime=3600.0,
            reconnect_timeout=1.0,
            num_workers=1,
        )

    @contextmanager
    def one_transaction(self) -> Iterator[Connection[DictRow]]:
        """Open a transaction; within the block `get_connection` returns its connection to this thread.

        Raises: as `get_connection`.
        """
        with self.get_connection() as conn, conn.transaction():
            before = _JOINED.set((self, conn))
            try:
                yield conn
            finally:
                _JOINED.reset(before)

    @contextmanager
    def get_connection(self) -> Iterator[Connection[DictRow]]:
        """Return a connection of the pool; within `one_transaction` the connection of that.

        Raises:
            ForkedPoolError: This datastore was created before a fork.
            eventsourcing.persistence.PersistenceError: An error of psycopg, translated by the library.
        """
        with self.get_idle_connection() as conn, conn.transaction() if conn.read_only else nullcontext():
            yield conn

    @contextmanager
    def get_idle_connection(self) -> Iterator[Connection[DictRow]]:
        """Return a connection for a caller that begins transactions, which only read if the connection is `read_only`.

        Raises: as `get_connection`.
        """
        if (joined := _JOINED.get()) is not None and joined[0] is self:
            yield joined[1]
            return
        self.pool.claim_for_this_process()
        with super().get_connection() as conn:
            yield conn

    def close(self) -> None:
        """Close the pool, unless a parent process owns it."""
        with suppress(ForkedPoolError):
            self.pool.claim_for_this_process()
            super().close()

    def register_type_adapters(self) -> None:
        """Register nothing: we insert with unnest of plain arrays, so building a recorder opens no connection."""


def _begin_read_only(conn: Connection[DictRow]) -> None:
    conn.read_only = True  # a setting of psycopg, for the transactions that it begins
