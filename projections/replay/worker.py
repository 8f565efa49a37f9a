"""A process that folds parts of the log for a rebuild or a check: `python -m projections.replay.worker`, over pipes.

A process of its own rather than a fork: it shares no connection and no lock with anybody. It only reads the
database, and it ends when the process that started it does: its next word meets a closed pipe.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO, Any
from uuid import UUID

import psycopg
from psycopg import Connection

from projections.database.connection import open_maintenance_connection
from projections.database.errors import BAD_VALUE_ERRORS
from projections.event_store.row_mapping import PROJECTIONS
from projections.replay.copy_writer import WriteRow, binary_row_encoder
from projections.replay.invariant_observer import InvariantObserver
from projections.replay.jobs import JobRunner
from projections.replay.log_fold import MemoryLimits
from projections.replay.observer import NullObserver, ReadEvent, UndecodableEventError
from projections.replay.protocol import (
    ClosedCases,
    DatabaseUnavailable,
    Done,
    Found,
    Late,
    Poisoned,
    Start,
    Told,
    receive_job,
    receive_start,
    send,
    send_rows,
)

FRAME_ROWS = 2_000
"""Rows of one frame; some half a megabyte."""


def main() -> int:
    """Do jobs until there are none any more.

    Returns:
        0; 1 if nobody listens any more or the database went away.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to everybody on the terminal; who started us decides
    # Folding makes no cycles: collecting them would look at everything that is held, again and again.
    gc.freeze()
    gc.disable()
    jobs, words = sys.stdin.buffer, sys.stdout.buffer
    try:
        start = receive_start(jobs)
        with open_maintenance_connection(start.database_url, "fold", reads_log=True) as conn:
            _work(start, conn, jobs, words)
    except BAD_VALUE_ERRORS:
        raise
    except psycopg.Error as away:
        send(words, DatabaseUnavailable(str(away).strip()))
    except UndecodableEventError as poison:
        send(words, Poisoned(poison.stored, poison.why))
    except (BrokenPipeError, EOFError):
        os._exit(1)  # nobody listens: not even to what is still buffered
    else:
        return 0
    return 1


def _work(start: Start, conn: Connection[Any], jobs: IO[bytes], words: IO[bytes]) -> None:
    sink, rules = _PipeSink(start.columns, words), InvariantObserver() if start.rules else None

    def read(events: int) -> None:
        sink.flush()
        send(words, Told(events))

    sizes = MemoryLimits(start.page_events, start.open_reservations_max)
    runner = JobRunner(conn, sink, rules or NullObserver(), start.until, sizes, read)
    while (job := receive_job(jobs)) is not None:
        runner.run(job)
        sink.flush()
        if rules and (found := rules.take()):
            send(words, Found(*found))
        send(words, Done())


class _PipeSink:
    """Sends rows on as COPY takes them."""

    def __init__(self, columns: Mapping[str, list[int]], words: IO[bytes]) -> None:
        self._words = words
        self._late: list[tuple[UUID, int]] = []
        self._closed: list[tuple[Any, ...]] = []
        self._parts: dict[int, list[bytes]] = {}
        self.rows: dict[str, Callable[[tuple[Any, ...]], object]] = {}
        for number, (name, kinds) in enumerate(PROJECTIONS.items()):
            if name in columns and (write := binary_row_encoder(kinds, columns[name])):
                self.rows[name] = partial(self._put, number, self._parts.setdefault(number, []), write)

    def late(self, event: ReadEvent) -> None:
        """Send it with the next flush."""
        self._late.append((event.code_id, event.version))

    def closed(self, row: tuple[Any, ...]) -> None:
        """Send it with the next flush."""
        self._closed.append(row)

    def flush(self) -> None:
        """Send everything."""
        for number, parts in self._parts.items():
            self._send(number, parts)
        if self._late:
            send(self._words, Late(self._late))
            self._late.clear()
        if self._closed:
            send(self._words, ClosedCases(self._closed))
            self._closed.clear()

    def _put(self, number: int, parts: list[bytes], write: WriteRow, row: tuple[Any, ...]) -> None:
        parts.append(write(row))
        if len(parts) >= FRAME_ROWS:
            self._send(number, parts)

    def _send(self, number: int, parts: list[bytes]) -> None:
        if parts:
            send_rows(self._words, number, b"".join(parts))
            parts.clear()


if __name__ == "__main__":
    sys.exit(main())
