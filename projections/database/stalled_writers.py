"""Ending the transactions of writers that have fallen silent: a frozen process must not hold up a code for ever.

A process that is stopped, swapped out or paused with its machine keeps its connection, for its kernel still answers.
If it holds the lock of a code by then, everybody else waits for it. PostgreSQL ends a transaction that is idle, but
a pipeline that stops in its middle never is (seen on PostgreSQL 18 with a worker stopped by SIGSTOP, 2026-11-25), and
a time-out of whole transactions, there since version 17, would end slow ones too.
"""

import logging
import threading
from contextlib import suppress

import psycopg
from eventsourcing.persistence import PersistenceError

from projections.database.connection import LedgerDatastore
from projections.sql.database import DatabaseSql
from projections.telemetry.metrics import STALLED_WRITERS

STALLED_AFTER_S = 5.0
"""As long as an idle transaction may last (`enter`); below the 10 seconds after which a waiting redeem gives up."""
CHECK_INTERVAL_S = 2.0

log = logging.getLogger(__name__)


def end_stalled_writers(datastore: LedgerDatastore, stalled_after_s: float = STALLED_AFTER_S) -> int:
    """End sessions that write the ledger and were not heard of for so long; what they had begun is rolled back.

    Whoever wakes up then finds its connection gone, and tries again or says that it doesn't know.

    Raises:
        PersistenceError, psycopg.Error: The database did not answer.
    """
    with datastore.get_connection() as conn:
        row = conn.execute(DatabaseSql.end_silent_writers, (stalled_after_s,)).fetchone()
    count = int(row["count"]) if row else 0
    if count:
        STALLED_WRITERS.inc(count)
        log.warning("%d transactions of processes that had stopped in their middle were ended", count)
    return count


class StalledWriterWatch:
    """Looks for them every two seconds in a thread of its own, until it is closed."""

    def __init__(self, datastore: LedgerDatastore) -> None:
        self._datastore = datastore
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="silent-writers", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(CHECK_INTERVAL_S):
            with suppress(PersistenceError, psycopg.Error):  # nobody writes to a database that is away
                end_stalled_writers(self._datastore)

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        self._thread.join(CHECK_INTERVAL_S)
