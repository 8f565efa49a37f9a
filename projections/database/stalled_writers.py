"""Ends the transactions of stalled writers: a frozen process must not block a code forever.

A process that is stopped, swapped out or paused with its machine keeps its connection, because its kernel still
answers. If it holds the lock of a code, all other requests wait for it. PostgreSQL ends idle transactions, but a
pipeline that stops in its middle is never idle (seen on PostgreSQL 18 with a worker stopped by SIGSTOP, 2026-11-25),
and a timeout of whole transactions, which version 17 added, would end slow ones too.
"""

import logging
import threading

import psycopg
from eventsourcing.persistence import PersistenceError

from projections.database.datastore import LedgerDatastore
from projections.sql.database import DatabaseSql
from projections.telemetry.metrics import STALLED_WRITERS

STALLED_AFTER_S = 5.0
"""Longest time without progress; below the 10 seconds after which a waiting redeem request fails."""
CHECK_INTERVAL_S = 2.0

log = logging.getLogger(__name__)


def end_stalled_writers(datastore: LedgerDatastore, stalled_after_s: float = STALLED_AFTER_S) -> int:
    """End sessions that write the ledger and made no progress for so long; PostgreSQL rolls their transactions back.

    A process that resumes later finds its connection closed, and retries or reports an unknown outcome.

    Raises:
        PersistenceError, psycopg.Error: The database did not answer.
    """
    with datastore.get_connection() as conn:
        row = conn.execute(DatabaseSql.end_silent_writers, (stalled_after_s,)).fetchone()
    count = int(row["count"]) if row else 0
    if count:
        STALLED_WRITERS.inc(count)
        log.warning("stalled transactions ended", extra={"count": count})
    return count


class StalledWriterWatch:
    """Ends stalled writers every two seconds in its own thread, until it is closed."""

    def __init__(self, datastore: LedgerDatastore) -> None:
        self._datastore = datastore
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="silent-writers", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(CHECK_INTERVAL_S):
            try:
                end_stalled_writers(self._datastore)
            except (PersistenceError, psycopg.Error):  # an unavailable database has no writers
                continue
            except Exception:  # the thread has to outlive a bug: no other part of this process ends a frozen writer
                log.exception("ending stalled writers failed")

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join(CHECK_INTERVAL_S)
