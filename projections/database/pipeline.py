"""Pipelined statements: many are sent before the first answer is awaited.

This module alone leans on internals of psycopg. tests/unit/projections/database/test_pipeline.py says which of them a
new version has changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, cast

from psycopg import Connection, Cursor, Pipeline
from psycopg.abc import PQGen
from psycopg.generators import send
from psycopg.rows import DictRow, tuple_row

from domain.ports import PipelineSteps
from projections.database.servers.bounded_connection import BoundedConnection


class BufferedPipeline(Pipeline):
    """A pipeline that sends statements together: when rows are awaited, or when libpq's buffer is full.

    psycopg sends each statement with a system call, which wakes the server for it. That was a tenth of the CPU time of
    a commit, for both (measured 2026-11-28).
    """

    _is_finished = False

    def await_answers(self) -> PipelineSteps[None]:
        """Ask for the answers to all statements so far, and read them; yield once in between.

        Raises:
            psycopg.Error: A statement failed.
        """
        self.pgconn.send_flush_request()
        self._send_buffer()
        yield
        self._conn.wait(self._fetch_gen(flush=False))

    def finish(self) -> PipelineSteps[None]:
        """Do the same, so that the end of the pipeline does not need a further round trip.

        Raises:
            psycopg.Error: A statement failed.
        """
        self._enqueue_sync()
        self._conn.wait(self._communicate_gen())
        self._send_buffer()
        yield
        self._conn.wait(self._fetch_gen(flush=False))
        self._is_finished = True

    def _send_buffer(self) -> None:
        """Send to the last byte, however little the socket takes: the server answers only what it has received."""
        self._conn.wait(send(self.pgconn))

    def _communicate_gen(self) -> PQGen[None]:
        """Pass statements on to libpq, which keeps them; answers are left to `_fetch_gen`."""
        self._is_finished = False
        while self.command_queue:
            self.command_queue.popleft()()
        yield from ()

    def _exit_gen(self) -> PQGen[None]:
        if not self._is_finished:
            yield from super()._exit_gen()


class BufferingConnection(BoundedConnection[DictRow]):
    """A connection whose pipelines are buffered."""

    _pipeline: BufferedPipeline | None

    @contextmanager
    def pipeline(self) -> Iterator[BufferedPipeline]:
        """Open a pipeline; it may not be opened within another one."""
        self._pipeline = pipeline = BufferedPipeline(self)
        try:
            with pipeline:
                yield pipeline
        finally:
            self._pipeline = None

    def await_answers(self) -> PipelineSteps[None]:
        """Read the answers to all statements of the open pipeline so far; yield once.

        Raises:
            psycopg.Error: A statement failed.
        """
        if self._pipeline is not None:
            yield from self._pipeline.await_answers()

    def commit_pipelined(self) -> PipelineSteps[None]:
        """Commit the transaction of the open pipeline, as its last statement; yield once.

        Raises:
            psycopg.Error: A statement of the pipeline failed, or the commit.
        """
        self.execute("COMMIT")
        if self._pipeline is not None:
            yield from self._pipeline.finish()


def send_pipelined(conn: Connection[Any], query: LiteralString, *params: Any) -> Cursor[Any]:
    """Send a statement in pipeline mode, by a cursor of its own; `fetch_pipelined` reads its rows later."""
    return conn.cursor(row_factory=tuple_row, binary=True).execute(query, params)


def fetch_pipelined(cursor: Cursor[Any]) -> PipelineSteps[list[Any]]:
    """Return the rows of a statement sent in pipeline mode; yield once if they have not arrived."""
    if cursor.pgresult is None:
        yield from cast("BufferingConnection", cursor.connection).await_answers()
    return cursor.fetchall()
