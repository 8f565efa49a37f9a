"""A worker process that folds parts of the log for a rebuild or a check: `python -m projections.replay.worker`.

It is started afresh, not forked, so it shares no connection and no lock. It only reads the database, and ends with the
process that started it: its next message meets a closed pipe.
"""

import gc
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from typing import IO, Any
from uuid import UUID

import psycopg
from psycopg import Connection

from projections.database.connection import open_maintenance_connection
from projections.database.errors import is_outage
from projections.replay.invariant_observer import InvariantObserver
from projections.replay.jobs import JobRunner
from projections.replay.log_fold import MemoryLimits
from projections.replay.observer import NullObserver, ReadEvent, UndecodableEventError
from projections.replay.protocol import (
    DatabaseUnavailable,
    FindingsReport,
    JobDone,
    OutOfOrder,
    PageRead,
    Start,
    Undecodable,
    receive_job,
    receive_start,
    send,
    send_rows,
)
from projections.replay.row_buffer import RowBuffer
from projections.replay.throttle import Throttle


def main() -> int:
    """Run jobs until there are no more.

    Returns:
        0; 1 if the other process has ended or the database is unavailable.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the process that started us too, which decides
    # Folding makes no cycles, and collecting them would visit everything that is held again and again.
    gc.freeze()
    gc.disable()
    jobs, messages = sys.stdin.buffer, sys.stdout.buffer
    try:
        start = receive_start(jobs)
        with (
            open_maintenance_connection(start.database_url, "fold", reads_log=True) as conn,
            open_maintenance_connection(start.database_url, "fold") as idle,
        ):
            _run_jobs(start, conn, Throttle(idle), jobs, messages)
    except psycopg.Error as error:
        if not is_outage(error):
            raise
        send(messages, DatabaseUnavailable(str(error).strip()))
    except UndecodableEventError as error:
        send(messages, Undecodable(error.stored, error.reason))
    except (BrokenPipeError, EOFError):
        os._exit(1)  # what is still buffered has no reader
    else:
        return 0
    return 1


def _run_jobs(start: Start, conn: Connection[Any], throttle: Throttle, jobs: IO[bytes], messages: IO[bytes]) -> None:
    sink = _PipeSink(start.columns, messages)
    observer = InvariantObserver() if start.checks_rules else None

    def on_page(events: int) -> None:
        sink.flush()
        send(messages, PageRead(events))

    limits = MemoryLimits(start.page_events, start.open_reservations_max)
    runner = JobRunner(conn, sink, observer or NullObserver(), start.until, limits, on_page, throttle.step)
    while (job := receive_job(jobs)) is not None:
        runner.run(job)
        sink.flush()
        if observer and (findings := observer.take()):
            send(messages, FindingsReport(*findings))
        send(messages, JobDone())


class _PipeSink:
    """Sends rows and events out of order to the process that started this one."""

    def __init__(self, columns: Mapping[str, list[int]], messages: IO[bytes]) -> None:
        self._messages = messages
        self._out_of_order: list[tuple[UUID, int]] = []
        self._buffer = RowBuffer(columns, partial(send_rows, messages))
        self.rows = self._buffer.rows

    def out_of_order(self, event: ReadEvent) -> None:
        """Send it with the next flush."""
        self._out_of_order.append((event.code_id, event.version))

    def flush(self) -> None:
        """Send everything."""
        self._buffer.flush()
        if self._out_of_order:
            send(self._messages, OutOfOrder(self._out_of_order))
            self._out_of_order.clear()


if __name__ == "__main__":
    sys.exit(main())
