"""The lock of the session that allows one rebuild at a time, and its holder."""

import time
from collections.abc import Callable
from typing import Any

from psycopg import Connection

from projections.sql.rebuild import RebuildSql

LOCK_WAIT_S_MAX = 3.0
"""A rebuild that was killed holds its lock until the server has noticed."""
_PAUSE_S = 0.2


class RebuildRunningError(Exception):
    """Another rebuild of this database runs. The message names its session."""


def acquire_rebuild_lock(conn: Connection[Any], sleep: Callable[[float], None] = time.sleep) -> None:
    """Take the lock for as long as the connection lasts.

    Raises:
        RebuildRunningError: Another session holds it.
    """
    deadline = time.monotonic() + LOCK_WAIT_S_MAX
    while True:
        if (row := conn.execute(RebuildSql.lock_rebuild).fetchone()) and row[0]:
            return
        if time.monotonic() > deadline:
            raise RebuildRunningError(_describe_lock_holder(conn))
        sleep(_PAUSE_S)


def _describe_lock_holder(conn: Connection[Any]) -> str:
    row = conn.execute(RebuildSql.rebuild_lock_holder).fetchone()
    if row is None:
        return "another rebuild has just finished: try again"
    pid, name, address, started = row
    origin = f" from {address}" if address else ""
    return (
        f"another rebuild is running: {name}{origin}, since {started:%Y-%m-%d %H:%M:%S} UTC, database backend {pid};"
        " wait for it, or stop it and try again"
    )
