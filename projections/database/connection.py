"""The pool of connections, and the library's datastore over it. Handed its settings, never reads the environment."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.generators import send
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg.waiting import Ready, Wait

from domain.application import PipelineSteps
from projections.database.pool import ForkedPoolError, LedgerPool
from projections.database.timestamps import register_timestamp_loaders
from projections.sql.database import DatabaseSql

register_timestamp_loaders()

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 10_000
WAIT_INTERVAL_S = 0.1
"""How often a waiting operation looks whether it was interrupted; psycopg's own number."""
OPTIMISTIC_WRITES = 2
"""A statement in pipeline mode wishes to write twice: before it is put into libpq's buffer, and to send that."""
CLOCK_REFRESH_S = 10.0
"""How old the offset to the database's clock may be."""


def connection_options(*, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> dict[str, Any]:
    """libpq options of every connection: each wait has a bound, and dead peers are noticed."""
    return {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
        "application_name": "redemption-ledger",
        "options": (
            f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={LOCK_TIMEOUT_MS}"
            " -c idle_in_transaction_session_timeout=30s -c TimeZone=UTC"
        ),
    }


class OptimisticWriteConnection(Connection[DictRow]):
    """A connection that writes at once and asks the kernel whether it may only if that did not work.

    Each asking gives up the interpreter's lock. In pipeline mode psycopg asks before every statement, and beside a
    busy event loop getting the lock back takes longer than the whole batch.

    Attributes:
        patience_s: Longest wait for an answer; after it the connection is closed. None: as long as it takes.
    """

    answer_timeout_s: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = WAIT_INTERVAL_S, timeout: float | None = None) -> RV:
        """Drive a psycopg operation to its end.

        Raises:
            psycopg.OperationalError: No answer came in time, or another fault of the connection.
        """
        try:
            return super().wait(_write_first(gen), interval, self.answer_timeout_s if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.answer_timeout_s is not None:
                self.close()
            raise


def _write_first(gen: PQGen[RV]) -> PQGen[RV]:
    """The same operation, with its first wishes to write granted unseen; libpq keeps what the socket does not take."""
    granted = 0
    ready: Ready | int
    try:
        awaited = next(gen)
        while True:
            if granted < OPTIMISTIC_WRITES and awaited & Wait.W:
                granted, ready = granted + 1, Ready.W
            else:
                granted, ready = 0, (yield awaited)
            awaited = gen.send(ready)
    except StopIteration as stop:
        return cast("RV", stop.value)


def fetch_pipelined(cursor: Cursor[Any], *, has_rows: bool = True) -> PipelineSteps[list[Any]]:
    """Return the rows of a statement sent in pipeline mode; yield once if they have not arrived.

    Args:
        cursor: The cursor that sent the statement.
        has_rows: Whether the statement returns rows.
    """
    if cursor.pgresult is None:
        libpq = cursor.connection.pgconn
        libpq.send_flush_request()
        # To the last byte, however little the socket takes: the server answers nothing that it has not got whole.
        cursor.connection.wait(send(libpq))
        yield
    return cursor.fetchall() if has_rows else []


_JOINED: ContextVar[tuple[object, Connection[DictRow]] | None] = ContextVar("joined transaction", default=None)
"""The datastore and the connection of the transaction that this thread's changes belong to."""


class LedgerDatastore(PostgresDatastore):
    """The library's datastore over a pool that takes a libpq URI (several hosts, TLS and all)."""

    def __init__(self, database_url: str, *, pool_size: int, wait_s: float) -> None:
        super().__init__(dbname="", host="", port="", user="", password="")
        self.url = database_url
        self.pool: LedgerPool = LedgerPool(
            database_url,
            connection_class=OptimisticWriteConnection,
            kwargs={**connection_options(), "row_factory": dict_row, "autocommit": True},
            min_size=1,
            max_size=pool_size,
            open=False,
            timeout=wait_s,
            max_waiting=pool_size * 16,
            max_lifetime=3600.0,
            reconnect_timeout=5.0,
            num_workers=1,
        )

    @contextmanager
    def one_transaction(self) -> Iterator[Connection[DictRow]]:
        """One transaction: within the block `get_connection` gives this thread its connection and no other.

        Raises: as `get_connection`.
        """
        with self.get_connection() as conn, conn.transaction():
            before = _JOINED.set((self, conn))
            try:
                yield conn
            finally:
                _JOINED.reset(before)

    @contextmanager
    def get_connection(self) -> Iterator[Connection[DictRow]]:
        """A connection of the pool; within `one_transaction` that one's.

        Raises:
            ForkedPoolError: This datastore was made before a fork.
            eventsourcing.persistence.PersistenceError: psycopg's faults, as the library calls them.
        """
        if (joined := _JOINED.get()) is not None and joined[0] is self:
            yield joined[1]
            return
        self.pool.claim_for_this_process()
        with super().get_connection() as conn:
            yield conn

    def close(self) -> None:
        """Close the pool; after a fork that is the parent's to do."""
        with suppress(ForkedPoolError):
            self.pool.claim_for_this_process()
            super().close()

    def register_type_adapters(self) -> None:
        """Nothing to register: we insert with unnest of plain arrays, so building a recorder opens no connection."""


def connect(database_url: str, **options: Any) -> Connection[tuple[Any, ...]]:
    """One connection of its own, in autocommit mode, with the same bounds as the pool's."""
    merged = {**connection_options(), **options}
    return psycopg.connect(database_url, autocommit=True, row_factory=tuple_row, **merged)


def describe_target(database_url: str) -> str:
    """Where a URI points, without its password, for messages to operators."""
    parameters = conninfo_to_dict(database_url)
    return f"{parameters.get('host', 'localhost')}:{parameters.get('port', '5432')}/{parameters.get('dbname', '')}"


def read_password(database_url: str) -> str:
    """The password in a URI; an empty text if there is none."""
    return str(conninfo_to_dict(database_url).get("password") or "")


class DatabaseClock:
    """`now` in database time: our monotonic clock plus an offset that is refreshed every 10 seconds.

    Leases and deadlines of several hosts are compared with one another, so they need one clock.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._base: datetime | None = None
        self._base_at = 0.0

    def is_stale(self) -> bool:
        """Whether the next transaction should refresh it."""
        return self._base is None or self._monotonic() - self._base_at > CLOCK_REFRESH_S

    def refresh(self, conn: Connection[Any]) -> None:
        """Ask the database for the time; half the round trip is taken off."""
        started = self._monotonic()
        with conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(DatabaseSql.database_now).fetchone()
        if row is None:
            raise AssertionError
        answered = self._monotonic()
        self._base_at = (started + answered) / 2
        self._base = row[0].astimezone(UTC)

    def now(self) -> datetime:
        """Database time, aware UTC.

        Raises:
            RuntimeError: The database was never asked. This host's own time is no stand-in: an hour ahead, it would
                give back what is waiting.
        """
        if self._base is None:
            raise RuntimeError("the database's clock was never asked")
        return self._base + timedelta(seconds=self._monotonic() - self._base_at)


LOG_SCAN_OPTIONS = "-c enable_seqscan=off -c max_parallel_workers_per_gather=0"
"""Pages of the log by streams, each by its index.

The planner takes a page for ten times as much as it is, and would read the whole table for each: on 2 million events
three times the work, and with the square of the log's length (measured 2026-11-25).
"""


def open_maintenance_connection(database_url: str, what: str, *, reads_log: bool = False) -> Connection[Any]:
    """A connection of a rebuild: no bound on statements, which may read or index whole tables.

    Args:
        database_url: libpq URI.
        what: Of which work, for who looks at the server's sessions.
        reads_log: Whether it reads the log page by page.

    The server looks every second whether we are still there, so a killed rebuild doesn't go on without its process.
    """
    options = connection_options()["options"].replace(
        f"statement_timeout={STATEMENT_TIMEOUT_MS}", "statement_timeout=0"
    )
    name = f"ledger {what} {os.uname().nodename}:{os.getpid()}"
    # -c client_connection_check_interval is not on every platform, so a refusal is no trouble.
    options = f"{options} {LOG_SCAN_OPTIONS if reads_log else '-c maintenance_work_mem=128MB'}"
    conn = connect(database_url, application_name=name, options=options)
    if os.uname().sysname == "Linux":
        conn.execute("SET client_connection_check_interval = '1s'")
    return conn
