"""How long the oldest event that a relay has not passed on has been in the log, and how relays do."""

import math
from typing import Any, NamedTuple

from psycopg import Connection

from projections.database.connection import connect
from projections.database.errors import translate_database_errors
from projections.event_store.codec import UnreadableEventError, decode
from projections.sql.monitoring import MonitoringSql


class RelayHealth(NamedTuple):
    """How a relay does.

    Attributes:
        behind: Positions of the log that it has not passed on.
        failures: Failures in a row.
        is_running: Whether a process relays.
    """

    name: str
    behind: int
    failures: int
    last_error: str | None
    is_running: bool


def measure_relay_lag(conn: Connection[Any]) -> float:
    """Return the age in seconds of the oldest event that the slowest relay has not passed on; 0 if there is none.

    It is not a number if that event is of a type that a newer version added.
    """
    rows = conn.execute(MonitoringSql.oldest_unrelayed).fetchall()
    if not rows:
        return 0.0
    topic, state, now = rows[0]
    try:
        event = decode(topic, bytes(state))
    except UnreadableEventError:  # of a newer version; the other metrics must not end with this one
        return math.nan
    lag_s: float = (now - (event.recorded_at or event.at)).total_seconds()
    return max(lag_s, 0.0)


def find_relays(database_url: str) -> list[RelayHealth]:
    """Return every relay, by name.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    with translate_database_errors(), connect(database_url) as conn:
        return [RelayHealth(*row) for row in conn.execute(MonitoringSql.relays_lately)]
