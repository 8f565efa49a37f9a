"""Times that the database's clock cannot have shown: it was ahead, and went back.

Whatever waits until such a time is due. Each sweep makes it due; events are never changed.
"""

import re
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import tuple_row

from domain.policy import LONGEST_WAIT
from domain.values.timestamps import CLOCK_STEP
from projections.database.connection import connect
from projections.database.errors import translate_database_errors
from projections.event_store.side_tables import REMINDER
from projections.sql.database import DatabaseSql
from projections.sql.work_queue import WorkQueueSql

LONGEST_POSTPONEMENT: Final = timedelta(hours=25)
"""Longer than the quiet hours of any day, and than any wait that a mail server may ask for."""

TABLES_WITH_TIMES: Final = tuple(
    re.findall(r"SELECT '(\w+)'", WorkQueueSql.bring_back_times + WorkQueueSql.impossible_times_of_the_log)
)
"""Tables that the statements name."""


def find_bounds(now: datetime) -> dict[str, datetime]:
    """Return the parameters of statements that find impossible times.

    Args:
        now: Database time.
    """
    return {
        "now": now,
        "impossible": now + CLOCK_STEP,
        "longest_wait": now + LONGEST_WAIT,
        "longest_postponement": now + LONGEST_POSTPONEMENT,
    }


def bring_back_times(conn: Connection[Any], now: datetime) -> dict[str, int]:
    """Make due what waits until an impossible time; return how many rows, by table.

    Args:
        conn: A connection to the ledger's database.
        now: Database time.
    """
    with conn.cursor(row_factory=tuple_row) as cursor:
        return dict(
            cursor.execute(WorkQueueSql.bring_back_times, {**find_bounds(now), "reminder": REMINDER}).fetchall()
        )


def review_impossible_times(database_url: str, *, apply: bool = False) -> dict[str, int]:
    """Count the rows with impossible times, by table; those of the log only if no operator has accepted them.

    Args:
        database_url: libpq URI.
        apply: Bring the times back, and accept those of the log, which never change.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    with translate_database_errors(), connect(database_url) as conn, conn.transaction(force_rollback=not apply):
        return review_times_of(conn, apply=apply)


def review_times_of(conn: Connection[Any], *, apply: bool = False) -> dict[str, int]:
    """Do so in a transaction; without `apply` it must be rolled back."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        ((now,),) = cursor.execute(DatabaseSql.database_now).fetchall()
        counts = bring_back_times(conn, now)
        counts |= dict(cursor.execute(WorkQueueSql.impossible_times_of_the_log, find_bounds(now)).fetchall())
        if apply:
            cursor.execute(WorkQueueSql.accept_times_of_the_log)
    return counts
