"""The progress of a rebuild, stored in the database while it runs, for the metrics of other processes."""

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
    """Passes progress on, and stores it in the database once a second. An unavailable database is ignored.

    Args:
        database_url: For a separate connection, because those of the rebuild are in transactions.
        inner: Takes the progress too.
        clock: Monotonic seconds.
    """

    def __init__(self, database_url: str, inner: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._database_url, self._inner, self._clock = database_url, inner, clock
        self._name, self._total = "", 0
        self._saved_at = float("-inf")
        self._conn: Connection[Any] | None = None

    def step(self, name: str, total: int) -> None:
        """Begin another step."""
        self._inner.step(name, total)
        self._name, self._total = name, total
        self._save(0)

    def at(self, events: int, position: int) -> None:
        """Show and store how far it is."""
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
