"""The lease of the process that schedules periodic tasks, and the claim of each run.

The lease is a row with a time by the database's clock. It is not a session lock, because a pooler in transaction mode
keeps no session. A claim is one statement, so one process at most sends a run, whatever two of them believe.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import Connection

from projections.database.connection import connect
from projections.database.errors import StorageUnavailableError, translate_database_errors
from projections.sql.work_queue import WorkQueueSql

LEASE_S: Final = 6.0
"""Seconds until another process may take over; with POLL_S and one question below 10 s."""
POLL_S: Final = 1.0
"""Seconds between two attempts of a process that stands by."""
RENEW_S: Final = 2.5
"""Seconds without a claim until the holder renews the lease: with POLL_S and one question below LEASE_S. A claim, at
most 3 s after the last, renews it too."""
ASSUME_S: Final = 60.0
"""Seconds in which work counts as due after the database could not say so, because of a lock or of a slow plan."""
QUIET_S: Final = 30.0
"""Seconds at least between two runs of a task while no work is due."""
ANSWER_S_MAX: Final = 2.0
"""Longest wait for an answer of the database, which may be frozen or a deposed primary."""
PAUSE_SHARE: Final = 0.5
"""Share of a task's interval that must have passed since its last run, which another process may have sent."""


class SchedulerLease:
    """One process's side of the lease.

    Args:
        database_url: libpq URI.
        holder: Name of this process for operators: host and process id.
        holder_id: Its random id.
        monotonic: Seconds.

    Attributes:
        fence: Number of this process's term; None while it does not hold the lease.
    """

    def __init__(
        self, database_url: str, holder: str, holder_id: UUID, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database_url, self._monotonic = database_url, monotonic
        self._holder = {"holder": holder, "holder_id": holder_id, "lease_s": LEASE_S}
        self._conn: Connection[tuple[Any, ...]] | None = None
        self._asked_at = float("-inf")
        self._assumes_until = float("-inf")
        self.fence: int | None = None

    def hold(self) -> bool:
        """Take the lease (at most once in `POLL_S`), or renew it (once in `RENEW_S`); return whether it is held.

        Raises:
            StorageUnavailableError: The database is unavailable or did not answer in time; the lease is not held.
        """
        pause_s = POLL_S if self.fence is None else RENEW_S
        if self._monotonic() - self._asked_at >= pause_s:
            self._asked_at = self._monotonic()
            row = self._run(WorkQueueSql.hold_scheduler_lease, self._holder).fetchone()
            self.fence = None if row is None else int(row[0])
        return self.fence is not None

    def claim_runs(self, intervals_s: Mapping[str, float]) -> set[str]:
        """Renew the lease, and return those of the tasks that are due now whose run this process may send.

        While no work is due, each is sent once in `QUIET_S`.

        Args:
            intervals_s: The interval of each task, by name.

        Raises:
            StorageUnavailableError: The database is unavailable or did not answer in time; no run must be sent.
        """
        pause_s_min = 0.0 if self._is_work_due() else QUIET_S
        asked_at = self._monotonic()
        pauses_s = [max(interval_s * PAUSE_SHARE, pause_s_min) for interval_s in intervals_s.values()]
        claim = {**self._holder, "tasks": list(intervals_s), "pauses_s": pauses_s}
        row = self._run(WorkQueueSql.claim_scheduled_runs, claim).fetchone()
        if row is None:
            self.fence = None
            return set()
        self._asked_at = asked_at
        self.fence, claimed = row
        return set(claimed)

    def _is_work_due(self) -> bool:
        """Return whether work of any kind may be due. The claim needs no answer: it reads other tables."""
        if self._monotonic() < self._assumes_until:
            return True
        try:
            ((is_due,),) = self._run(WorkQueueSql.is_work_due, ())
        except StorageUnavailableError:
            self._assumes_until = self._monotonic() + ASSUME_S
            return True
        return bool(is_due)

    def close(self) -> None:
        """Let another process take over immediately, if the database answers."""
        with suppress(StorageUnavailableError):
            if self.fence is not None:
                self._run(WorkQueueSql.release_scheduler_lease, (self._holder["holder_id"],))
        self._drop_connection()

    def _run(self, statement: LiteralString, parameters: Mapping[str, object] | tuple[object, ...]) -> Any:  # noqa: ANN401 - psycopg's cursor
        try:
            with translate_database_errors():
                if self._conn is None:
                    bounds = {"answer_timeout_s": ANSWER_S_MAX, "connect_timeout": 2}
                    self._conn = connect(self._database_url, application_name="ledger beat", **bounds)
                return self._conn.execute(statement, parameters)
        except StorageUnavailableError:
            self._drop_connection()
            raise

    def _drop_connection(self) -> None:
        self.fence = None
        if self._conn is not None:
            self._conn.close()
            self._conn = None
