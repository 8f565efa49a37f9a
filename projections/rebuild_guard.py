"""One rebuild at a time: a lock of the session, and who holds it."""

import os
import time
from collections.abc import Callable
from typing import Any

from psycopg import Connection

from projections.database import STATEMENT_TIMEOUT_MS, connect, connection_options
from projections.sql import QUERIES

GUARD_WAIT_S_MAX = 3.0
"""A rebuild that was killed holds its lock until the server has noticed."""
_PAUSE_S = 0.2


class RebuildRunningError(Exception):
    """Another rebuild of this database runs. The message says whose."""


READS_LOG = "-c enable_seqscan=off -c max_parallel_workers_per_gather=0"
"""Pages of the log by streams, each by its index.

The planner takes a page for ten times as much as it is, and would read the whole table for each: on 2 million events
three times the work, and with the square of the log's length (measured 2026-11-25).
"""


def rebuild_connection(database_url: str, what: str, *, reads_log: bool = False) -> Connection[Any]:
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
    options = f"{options} {READS_LOG if reads_log else '-c maintenance_work_mem=128MB'}"
    conn = connect(database_url, application_name=name, options=options)
    if os.uname().sysname == "Linux":
        conn.execute("SET client_connection_check_interval = '1s'")
    return conn


def hold_guard(conn: Connection[Any], sleep: Callable[[float], None] = time.sleep) -> None:
    """Take the lock for as long as the connection lasts.

    Raises:
        RebuildRunningError: Somebody else has it.
    """
    until = time.monotonic() + GUARD_WAIT_S_MAX
    while True:
        if (row := conn.execute(QUERIES["lock_rebuild"]).fetchone()) and row[0]:
            return
        if time.monotonic() > until:
            raise RebuildRunningError(_who(conn))
        sleep(_PAUSE_S)


def _who(conn: Connection[Any]) -> str:
    row = conn.execute(QUERIES["who_rebuilds"]).fetchone()
    if row is None:
        return "another rebuild has just ended: try again"
    pid, name, address, started = row
    place = f" from {address}" if address else ""
    return (
        f"another rebuild runs: {name}{place}, since {started:%Y-%m-%d %H:%M:%S} UTC, database backend {pid};"
        " wait for it, or end it and try again"
    )
