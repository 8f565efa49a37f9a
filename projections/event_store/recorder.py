"""The event store: the library's recorder with our insert, and the transactions of `execute`.

Differences from the library as it comes, each for a measured reason: one INSERT from unnest instead of a composite
type, an advisory order lock instead of LOCK TABLE (so VACUUM and CREATE INDEX CONCURRENTLY don't stop appends), no
NOTIFY (it serialises commits; readers poll).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Any

import psycopg
from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    PersistenceError,
    StoredEvent,
)
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow

from domain.application import UnitOfWork, run_to_completion
from projections.database.binary_arrays import columns
from projections.database.connection import DatabaseClock
from projections.database.errors import DEFECTS, StorageUnavailableError, unavailable_unless_defect
from projections.event_store.caches import StoreCaches
from projections.event_store.row_mapping import EVENT_KINDS
from projections.event_store.unit_of_work import PostgresUnitOfWork
from projections.sql.event_store import EventStoreSql

TRIES_MAX = 4
"""Transactions per batch: the first, and after a lost connection, race or deadlock up to three more."""
TRIES_S_MAX = 6.0
RETRY_PAUSE_S = 0.1


class LedgerRecorder(PostgresApplicationRecorder):
    """Records events in `ledger_events`, one batch per transaction, positions in commit order."""

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "ledger_events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self.caches = StoreCaches()
        self.clock = DatabaseClock()
        self.pause: Callable[[float], None] = time.sleep

    def create_table(self) -> None:
        """Nothing: the schema is made by numbered migrations only."""

    def set_clock(self) -> None:
        """Ask the database for its time, before anybody asks us.

        Raises:
            StorageUnavailableError: It does not answer.
        """
        with unavailable_unless_defect(), self.datastore.get_connection() as conn:
            self.clock.refresh(conn)

    def attempts(self) -> Iterator[AbstractContextManager[UnitOfWork]]:
        """Transactions to try in turn; see `domain.application.LedgerRecorder`."""
        tries = _Tries(self.pause)
        while tries.go_on():
            yield _Attempt(self, tries)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events; the library's interface, without its ten retries: an ambiguous commit is not repeated.

        Raises:
            IntegrityError: A version is taken.
        """
        if not stored_events:
            return []
        with self.datastore.get_connection() as conn, conn.transaction(), conn.cursor() as cursor:
            self._insert_stored_events(cursor, stored_events, **kwargs)
            return self._fetch_ids_after_insert_events(cursor, stored_events, **kwargs)

    def _insert_stored_events(self, curs: Cursor[DictRow], stored_events: Sequence[StoredEvent], **_: Any) -> None:
        curs.execute(EventStoreSql.lock_order)
        curs.execute(
            EventStoreSql.insert_events,
            columns(
                EVENT_KINDS,
                ((event.originator_id, event.originator_version, event.topic, event.state) for event in stored_events),
            ),
        )


class _Tries:
    """How often a batch was tried, and whether it may be once more."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause = pause
        self._until = time.monotonic() + TRIES_S_MAX
        self._made = 0
        self.committed = False

    def go_on(self) -> bool:
        """Whether to try (again); waits a little before another try."""
        if self.committed:
            return False
        if self._made:
            self._pause(RETRY_PAUSE_S * self._made)
        self._made += 1
        return True

    def is_last(self, *, bounded_in_time: bool) -> bool:
        """Whether a fault of this try is final."""
        return self._made >= TRIES_MAX or (bounded_in_time and time.monotonic() > self._until)


class _Attempt(AbstractContextManager[UnitOfWork]):
    """One transaction. Leaving it commits; a fault that another try may mend is swallowed while tries are left."""

    def __init__(self, recorder: LedgerRecorder, tries: _Tries) -> None:
        self._recorder = recorder
        self._tries = tries
        self._open = ExitStack()
        self._work: PostgresUnitOfWork | None = None

    def __enter__(self) -> UnitOfWork:
        """Begin; a pool that gives no connection within its own bound is an outage, not worth another try."""
        recorder = self._recorder
        with unavailable_unless_defect(), self._open:
            conn = self._open.enter_context(recorder.datastore.get_connection())
            if recorder.clock.is_stale():
                recorder.clock.refresh(conn)
            self._open.enter_context(transaction(conn))
            self._work = PostgresUnitOfWork(conn, recorder.caches)
            self._open = self._open.pop_all()
        return self._work

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Commit or roll back."""
        try:
            with self._open:
                if error is not None:
                    raise error
                if self._work is not None:
                    run_to_completion(self._work.commit())
            if self._work is not None:
                self._work.committed()
        except (IntegrityError, OperationalError, InterfaceError) as fault:
            # A race is lost to somebody who has committed since, often to our own try before whose answer was lost: the
            # next try finds what that one wrote, so there is one however long it took.
            is_race = isinstance(fault, IntegrityError)
            if self._tries.is_last(bounded_in_time=not is_race):
                if is_race:
                    raise
                raise StorageUnavailableError(str(fault)) from fault
            self._recorder.caches.codes.clear()
            return True
        except DEFECTS:
            raise
        except (PersistenceError, psycopg.Error) as fault:
            raise StorageUnavailableError(str(fault)) from fault
        self._tries.committed = True
        return False


@contextmanager
def transaction(conn: Connection[Any]) -> Iterator[None]:
    """A transaction in pipeline mode, rolled back unless the block commits it.

    BEGIN goes out with the first look-ups and COMMIT with the last rows; psycopg's own would wait for each.
    """
    try:
        with conn.pipeline():
            conn.execute("BEGIN")
            yield
    finally:
        if conn.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            conn.rollback()
