"""The event store: the library's recorder with our insert, and the transactions of `execute`.

Differences from the library as it comes, each for a measured reason: one INSERT from unnest instead of a composite
type, an advisory order lock instead of LOCK TABLE (so VACUUM and CREATE INDEX CONCURRENTLY don't stop appends), no
NOTIFY (it serializes commits; readers poll).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Any
from uuid import UUID

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

from domain.application import UnitOfWork
from domain.ports import run_to_completion
from projections.database.binary_arrays import UUIDS
from projections.database.clock import DatabaseClock
from projections.database.datastore import LedgerDatastore
from projections.database.errors import StorageUnavailableError, is_outage, translate_database_errors
from projections.database.servers.per_server import PerServer
from projections.database.table_arrays import encode_rows
from projections.definitions.registry import LOCK_TO_READ
from projections.event_store.caches import StoreCaches
from projections.event_store.unit_of_work import PostgresUnitOfWork
from projections.sql.event_store import EVENTS, EventStoreSql

TRANSACTIONS_PER_BATCH_MAX = 4
"""The first transaction, and up to three more after a lost connection, race or deadlock."""
RETRY_S_MAX = 6.0
RETRY_PAUSE_S = 0.1


class PostgresLedgerRecorder(PostgresApplicationRecorder):
    """Records events in `ledger_events`, one batch per transaction, positions in commit order."""

    datastore: LedgerDatastore

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "ledger_events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self.caches = PerServer(StoreCaches)
        self.clock = DatabaseClock()
        self.pause: Callable[[float], None] = time.sleep

    def create_table(self) -> None:
        """Nothing: the schema is made by numbered migrations only."""

    def set_clock(self) -> None:
        """Read the database's time before the first command.

        Raises:
            StorageUnavailableError: The database does not answer.
        """
        with translate_database_errors(), self.datastore.get_connection() as conn:
            self.clock.refresh(conn)

    def preload_codes(self, reservation_ids: Sequence[UUID]) -> None:
        """Cache which code each of these reservations is of: one query, instead of one for each batch of claims.

        Raises:
            StorageUnavailableError: The database does not answer.
        """
        with translate_database_errors(), self.datastore.get_connection() as conn, conn.cursor(binary=True) as cursor:
            rows: Sequence[Any] = cursor.execute(
                EventStoreSql.codes_of_reservations, (UUIDS.encode(list(reservation_ids)),)
            ).fetchall()
            caches = self.caches.of(conn)
        for row in rows:
            caches.codes_of_reservations.put(row["reservation_id"], row["code_id"])
            caches.campaigns_of_codes.put(row["code_id"], row["campaign_id"])

    def attempts(self) -> Iterator[AbstractContextManager[UnitOfWork]]:
        """Yield transactions to try in turn; see `domain.application.LedgerRecorder`."""
        budget = _RetryBudget(self.pause)
        while budget.try_again():
            yield _Transaction(self, budget)

    @contextmanager
    def open_preview(self) -> Iterator[UnitOfWork]:
        """Open a transaction that only reads; see `domain.application.LedgerRecorder`."""
        with translate_database_errors(), self.datastore.get_idle_connection() as conn:
            if self.clock.is_stale():
                self.clock.refresh(conn)
            with transaction(conn):
                conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                # Before the first query: in a snapshot older than a rebuild's swap the new tables are empty.
                conn.execute(LOCK_TO_READ)
                # The caches of the process may be ahead of what this transaction sees.
                yield PostgresUnitOfWork(conn, StoreCaches(), is_preview=True)

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
        curs.execute(EventStoreSql.lock_append_order)
        curs.execute(
            EventStoreSql.insert_events,
            encode_rows(
                EVENTS,
                ((event.originator_id, event.originator_version, event.topic, event.state) for event in stored_events),
            ),
        )


class _RetryBudget:
    """How many transactions a batch may take, and for how long."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause = pause
        self._deadline = time.monotonic() + RETRY_S_MAX
        self._started = 0
        self.committed = False

    def try_again(self) -> bool:
        """Return whether to run another transaction; pauses before each one after the first."""
        if self.committed:
            return False
        if self._started:
            self._pause(RETRY_PAUSE_S * self._started)
        self._started += 1
        return True

    def is_exhausted(self, *, is_time_bounded: bool) -> bool:
        """Return whether an error of this transaction is final."""
        return self._started >= TRANSACTIONS_PER_BATCH_MAX or (is_time_bounded and time.monotonic() > self._deadline)


class _Transaction(AbstractContextManager[UnitOfWork]):
    """One transaction, committed on exit. An error that a retry may avoid is suppressed within the budget."""

    def __init__(self, recorder: PostgresLedgerRecorder, budget: _RetryBudget) -> None:
        self._recorder = recorder
        self._budget = budget
        self._resources = ExitStack()
        self._uow: PostgresUnitOfWork | None = None

    def __enter__(self) -> UnitOfWork:
        """Begin. A pool without a free connection in time is an outage, which is not retried."""
        recorder = self._recorder
        with translate_database_errors(), self._resources:
            conn = self._resources.enter_context(recorder.datastore.get_idle_connection())
            if recorder.clock.is_stale():
                recorder.clock.refresh(conn)
            self._resources.enter_context(transaction(conn))
            self._uow = PostgresUnitOfWork(conn, recorder.caches.of(conn))
            self._resources = self._resources.pop_all()
        return self._uow

    def __exit__(
        self, kind: type[BaseException] | None, exc_value: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Commit or roll back."""
        try:
            with self._resources:
                if exc_value is not None:
                    raise exc_value
                if self._uow is not None:
                    run_to_completion(self._uow.commit())
        except (IntegrityError, OperationalError, InterfaceError) as error:
            # The winner of a race has committed, and is often our own previous transaction whose answer was lost. The
            # next transaction reads what it wrote, so a race is retried however long it took.
            self._recorder.caches.forget()
            is_race = isinstance(error, IntegrityError)
            if not is_race and not is_outage(error):
                raise
            if self._budget.is_exhausted(is_time_bounded=not is_race):
                if is_race:
                    raise
                raise StorageUnavailableError(str(error)) from error
            return True
        except (PersistenceError, psycopg.Error) as error:
            self._recorder.caches.forget()
            if not is_outage(error):
                raise
            raise StorageUnavailableError(str(error)) from error
        self._budget.committed = True
        if self._uow is not None:
            self._uow.publish_to_caches()
        return False


@contextmanager
def transaction(conn: Connection[Any]) -> Iterator[None]:
    """Open a transaction in pipeline mode, rolled back unless the block commits it.

    BEGIN is sent with the first queries and COMMIT with the last rows; `Connection.transaction` would wait for each.
    """
    try:
        with conn.pipeline():
            conn.execute("BEGIN READ ONLY" if conn.read_only else "BEGIN")
            yield
    finally:
        if conn.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            conn.rollback()
