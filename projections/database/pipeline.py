"""Pipelined statements: many are sent before the first answer is awaited.

This module alone leans on internals of psycopg. tests/unit/projections/database/test_pipeline.py says which of them a
new version has changed.
"""

from typing import Any, LiteralString, cast

from psycopg import Connection, Cursor
from psycopg.abc import RV, PQGen
from psycopg.generators import send
from psycopg.rows import DictRow, tuple_row
from psycopg.waiting import Ready, Wait

from domain.ports import PipelineSteps
from projections.database.servers.bounded_connection import WAIT_INTERVAL_S, BoundedConnection

# In pipeline mode a statement asks to write twice: before it goes into libpq's buffer, and to send that.
OPTIMISTIC_WRITES = 2


class OptimisticWriteConnection(BoundedConnection[DictRow]):
    """A connection that writes first, and asks the kernel whether it may only if that did not work.

    Each question releases the interpreter's lock. In pipeline mode psycopg asks before every statement, and next to a
    busy event loop it takes longer to get the lock again than to run the whole batch.
    """

    def wait(self, gen: PQGen[RV], interval: float = WAIT_INTERVAL_S, timeout: float | None = None) -> RV:
        """Drive a psycopg operation to its end.

        Raises:
            psycopg.OperationalError: No answer came in time, or the connection failed.
        """
        return super().wait(_write_first(gen), interval, timeout)


def _write_first(gen: PQGen[RV]) -> PQGen[RV]:
    """Skip the first two questions whether a write is possible; libpq buffers what the socket does not take."""
    granted = 0
    ready: Ready | int
    try:
        awaited = next(gen)
        while True:
            if granted < OPTIMISTIC_WRITES and awaited & Wait.W:
                granted, ready = granted + 1, Ready.W
            else:
                granted, ready = 0, (yield awaited)
            awaited = gen.send(ready)
    except StopIteration as error:
        return cast("RV", error.value)


def send_pipelined(conn: Connection[Any], query: LiteralString, *params: Any) -> Cursor[Any]:
    """Send a statement in pipeline mode, by a cursor of its own; `fetch_pipelined` reads its rows later."""
    return conn.cursor(row_factory=tuple_row, binary=True).execute(query, params)


def fetch_pipelined(cursor: Cursor[Any], *, has_rows: bool = True) -> PipelineSteps[list[Any]]:
    """Return the rows of a statement sent in pipeline mode; yield once if they have not arrived.

    Args:
        cursor: The cursor that sent the statement.
        has_rows: Whether the statement returns rows.
    """
    if cursor.pgresult is None:
        libpq = cursor.connection.pgconn
        libpq.send_flush_request()
        # To the last byte, however little the socket takes: the server answers nothing that it has not got whole.
        cursor.connection.wait(send(libpq))
        yield
    return cursor.fetchall() if has_rows else []
