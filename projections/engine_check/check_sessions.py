"""Sessions on the engine that is checked, opened as the ledger opens its own, and a scratch schema."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final, LiteralString, Self

import psycopg
from psycopg import Connection, sql

from projections.database.connection import connect
from projections.sql.engine_check import EngineCheckSql

ANSWER_S_MAX: Final = 10.0
"""Longest wait for one answer, in seconds; each statement of a check takes milliseconds."""
SCRATCH_PREFIX: Final = "ledger_engine_check_"


class CheckSessions:
    """Two sessions, each opened when it is first used, or used again after it was closed.

    Attributes:
        scratch: Name of a schema for tables of the checks; `pg_temp` if the role may create none.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._open: dict[str, Connection[tuple[Any, ...]]] = {}
        self.scratch = "pg_temp"

    @property
    def first(self) -> Connection[tuple[Any, ...]]:
        """The session that does something."""
        return self._session("first")

    @property
    def second(self) -> Connection[tuple[Any, ...]]:
        """The session that must notice, or must not be let in."""
        return self._session("second")

    @property
    def has_scratch(self) -> bool:
        """Whether both sessions see the tables of the checks."""
        return self.scratch != "pg_temp"

    @property
    def is_pooled(self) -> bool:
        """Whether a pool is between us and the server: it names other processes than those that answer."""
        process: int = ask(self.first, EngineCheckSql.server_process)[0]
        return self.first.pgconn.backend_pid != process

    def qualify(self, statement: LiteralString) -> sql.Composed:
        """Return a statement with the name of the scratch schema in the place of `{scratch}`."""
        return sql.SQL(statement).format(scratch=sql.Identifier(self.scratch))

    @contextmanager
    def with_scratch_schema(self) -> Iterator[None]:
        """Create a scratch schema for the block if the role may, and drop it afterwards.

        Schemas that a killed check left are dropped an hour later by the next one.
        """
        may_create, stale_schemas, name = ask(self.first, EngineCheckSql.scratch_facts, (SCRATCH_PREFIX,))
        if not may_create:
            yield
            return
        for schema in stale_schemas:
            self._drop(schema)
        self.first.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        self.scratch = name
        try:
            yield
        finally:
            self.close()
            self._drop(name)
            self.scratch = "pg_temp"

    def close(self) -> None:
        """Close both sessions, which rolls back what they left open."""
        for conn in self._open.values():
            with suppress(psycopg.Error):
                conn.close()
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _session(self, name: str) -> Connection[tuple[Any, ...]]:
        conn = self._open.get(name)
        if conn is None or conn.closed:
            conn = self._open[name] = connect(self._database_url, answer_timeout_s=ANSWER_S_MAX)
        return conn

    def _drop(self, schema: str) -> None:
        with suppress(psycopg.Error):  # what is left is dropped by a later check
            self.first.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


def ask(conn: Connection[tuple[Any, ...]], statement: Any, parameters: tuple[object, ...] = ()) -> tuple[Any, ...]:  # noqa: ANN401 - a text or a composed statement
    """Return the one row of a statement.

    Raises:
        psycopg.Error: The engine refuses the statement, or does not answer.
    """
    row = conn.execute(statement, parameters or None).fetchone()
    if row is None:
        raise psycopg.DataError("the engine returned no row")
    return row
