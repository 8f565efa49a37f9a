"""How relays do: how far each is behind the log, whether its position is after the end, and whether it fails."""

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
        behind: Positions of the log that it has not passed on; negative if its own is after the end.
        failures: Failures in a row.
        is_running: Whether a process relays.
    """

    name: str
    behind: int
    failures: int
    last_error: str | None
    is_running: bool

    @property
    def is_beyond(self) -> bool:
        """Whether its position is after the end of the log: it would leave out every event up to there."""
        return self.behind < 0


def measure_relays(conn: Connection[Any]) -> dict[str, float]:
    """Return the gauges of all relays together, by their keys."""
    relays = _read_relays(conn)
    return {
        "relay_behind": max((each.behind for each in relays if not each.is_beyond), default=0),
        "relay_beyond": sum(each.is_beyond for each in relays),
        "relay_failures": max((each.failures for each in relays), default=0),
        "relay_oldest": _measure_lag(conn) if relays else 0.0,
    }


def _measure_lag(conn: Connection[Any]) -> float:
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
        return _read_relays(conn)


def _read_relays(conn: Connection[Any]) -> list[RelayHealth]:
    return [RelayHealth(*row) for row in conn.execute(MonitoringSql.relays_lately)]
