"""How far a rebuild is, kept in the database while it runs: metrics of other processes show it."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import Connection

from projections.database.connection import connect
from projections.replay.observer import Progress
from projections.sql.rebuild import RebuildSql

SAVE_EVERY_S: Final = 1.0


class SharedProgress:
    """Tells somebody else how far it is, and once a second the database. A database that is away stops nothing here.

    Args:
        database_url: Over a connection of its own: the rebuild's own are in transactions.
        inner: Who is told too.
        clock: Monotonic seconds.
    """

    def __init__(self, database_url: str, inner: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._database_url, self._inner, self._clock = database_url, inner, clock
        self._name, self._total = "", 0
        self._saved_at = float("-inf")
        self._conn: Connection[Any] | None = None

    def step(self, name: str, total: int) -> None:
        """Another step begins."""
        self._inner.step(name, total)
        self._name, self._total = name, total
        self._save(0)

    def at(self, events: int, position: int) -> None:
        """So far."""
        self._inner.at(events, position)
        if self._clock() - self._saved_at >= SAVE_EVERY_S:
            self._save(events)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._conn is not None:
                self._conn.execute(RebuildSql.delete_rebuild_progress)
                self._conn.close()
        except psycopg.Error:
            return

    def _save(self, events: int) -> None:
        self._saved_at = self._clock()
        try:
            if self._conn is None or self._conn.closed:
                self._conn = connect(self._database_url)
            self._conn.execute(RebuildSql.set_rebuild_progress, (self._name, events, self._total))
        except psycopg.Error:
            return
