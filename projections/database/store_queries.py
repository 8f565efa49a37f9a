"""Statements outside commands: each uses one connection of the pool for a short time, and no locks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, LiteralString, Protocol

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from projections.database.errors import translate_database_errors
from projections.vault.vault import Vault

Params = Mapping[str, Any] | tuple[Any, ...]


class ConnectionSource(Protocol):
    """Where a query gets its connection from."""

    def get_connection(self) -> AbstractContextManager[Connection[Any]]:
        """Return a connection for one query."""


class ReadableStore(Protocol):
    """What queries need of a store."""

    @property
    def vault(self) -> Vault:
        """The vault."""

    @property
    def datastore(self) -> ConnectionSource:
        """The connections."""


class Database:
    """Runs statements in the database of a store.

    Raises (all methods):
        StorageUnavailableError: The database is unavailable.
    """

    def __init__(self, storage: ReadableStore, on_open: Callable[[Connection[Any]], object] | None = None) -> None:
        self._storage, self._on_open = storage, on_open

    @contextmanager
    def open_cursor(self) -> Iterator[Cursor[tuple[Any, ...]]]:
        """Open a cursor for several statements."""
        with (
            translate_database_errors(),
            self._storage.datastore.get_connection() as conn,
            conn.cursor(row_factory=tuple_row) as cursor,
        ):
            if self._on_open is not None:
                self._on_open(conn)
            yield cursor

    @contextmanager
    def open_transaction(self) -> Iterator[Cursor[tuple[Any, ...]]]:
        """Open a cursor for several statements in one transaction."""
        with self.open_cursor() as cursor, cursor.connection.transaction():
            yield cursor

    def fetch_all(self, query: LiteralString, *params: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query whose parameters have no names."""
        with self.open_cursor() as cursor:
            return cursor.execute(query, params).fetchall()

    def fetch_named(self, query: LiteralString, **params: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query whose parameters have names."""
        with self.open_cursor() as cursor:
            return cursor.execute(query, params).fetchall()

    def fetch_dicts(self, query: LiteralString, params: Params) -> list[dict[str, Any]]:
        """Return the rows of a query by the names of their columns."""
        with self.open_cursor() as cursor:
            rows = cursor.execute(query, params).fetchall()
            names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def execute(self, statement: LiteralString, params: Params) -> int:
        """Run a statement that returns no rows; return how many it wrote or deleted."""
        with self.open_cursor() as cursor:
            return cursor.execute(statement, params).rowcount
