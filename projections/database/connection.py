"""Connections to PostgreSQL. Settings come as parameters."""

import os
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from projections.database.servers.bounded_connection import ANSWER_S_MAX, BoundedConnection, StandbyConnection
from projections.database.timestamps import register_timestamp_loaders

register_timestamp_loaders()

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 15_000
BY_INDEX_OPTIONS = "-c enable_seqscan=off"
"""Tables are read by an index wherever one fits.

A statement is planned once for as long as a connection knows it. Where the table was small at that time, the planner
would read all of it, also after a burst has made it large: until the next ANALYZE, PostgreSQL spent 900 to 2,300 µs of
CPU time on a redemption instead of 130 (measured 2026-11-28, 11,000 redemptions in a new ledger).
"""
LOCK_TIMEOUT_MS = 10_000


def connection_options(
    database_url: str = "", *, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS, further: str = ""
) -> dict[str, Any]:
    """Return libpq options of every connection: each wait is bounded, and dead peers are detected.

    Args:
        database_url: libpq URI; the timeouts and keepalives that it sets are left out, so that they hold.
        statement_timeout_ms: Bound of a statement on the server, in milliseconds; 0 for none.
        further: Further options of the session, as `BY_INDEX_OPTIONS`.
    """
    bounds = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }
    of_url = conninfo_to_dict(database_url)
    return {
        **{name: value for name, value in bounds.items() if name not in of_url},
        "application_name": "redemption-ledger",
        "options": (
            f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={LOCK_TIMEOUT_MS}"
            f" -c idle_in_transaction_session_timeout=30s -c TimeZone=UTC {further}"
        ).rstrip(),
    }


def connect(
    database_url: str, *, answer_timeout_s: float | None = ANSWER_S_MAX, **options: Any
) -> Connection[tuple[Any, ...]]:
    """Open a connection outside the pool, in autocommit mode, with the same bounds.

    Args:
        database_url: libpq URI.
        answer_timeout_s: Longest wait for an answer, in seconds; None for work that has no bound.
        options: Further options of libpq.
    """
    merged = {**connection_options(database_url), **options}
    conn = BoundedConnection[tuple[Any, ...]].connect(database_url, autocommit=True, row_factory=tuple_row, **merged)
    conn.answer_timeout_s = answer_timeout_s
    return conn


def connect_to_standby(database_url: str, answer_timeout_s: float) -> StandbyConnection[tuple[Any, ...]]:
    """Open a connection for reports, in autocommit mode and without the server's bound on statements."""
    options = connection_options(database_url, statement_timeout_ms=0)
    conn = StandbyConnection[tuple[Any, ...]].connect(database_url, autocommit=True, row_factory=tuple_row, **options)
    conn.answer_timeout_s = answer_timeout_s
    return conn


def bound_lock_waits(conn: Connection[Any], milliseconds: int) -> None:
    """Bound each wait for a lock until the end of the transaction; a longer one raises `LockNotAvailable`."""
    conn.execute("SELECT set_config('lock_timeout', %s, true)", (f"{milliseconds}ms",))


def is_database_url(text: str) -> bool:
    """Return whether a text is a libpq URI that names a host and a database."""
    try:
        parameters = conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        return False
    return text.startswith(("postgresql://", "postgres://")) and bool(parameters.get("dbname"))


LOG_SCAN_OPTIONS = f"{BY_INDEX_OPTIONS} -c max_parallel_workers_per_gather=0"
"""Pages of the log by streams, each by its index.

The planner takes a page for ten times as much as it is, and would read the whole table for each: on 2 million events
three times the work, and with the square of the log's length (measured 2026-11-25).
"""


def open_maintenance_connection(database_url: str, what: str, *, reads_log: bool = False) -> Connection[Any]:
    """Open a connection for maintenance, without a bound on statements, which may read or index whole tables.

    Args:
        database_url: libpq URI.
        what: The work, as the server's list of sessions shows it.
        reads_log: Whether it reads the log page by page.

    The server checks every second whether the client is still connected, so a killed rebuild does not continue there.
    """
    options = connection_options()["options"].replace(
        f"statement_timeout={STATEMENT_TIMEOUT_MS}", "statement_timeout=0"
    )
    name = f"ledger {what} {os.uname().nodename}:{os.getpid()}"
    # client_connection_check_interval does not exist on every platform, so it is no option of the connection.
    options = f"{options} {LOG_SCAN_OPTIONS if reads_log else '-c maintenance_work_mem=128MB'}"
    conn = connect(database_url, answer_timeout_s=None, application_name=name, options=options)
    if os.uname().sysname == "Linux":
        conn.execute("SET client_connection_check_interval = '1s'")
    return conn
