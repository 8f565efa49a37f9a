"""How far a standby is behind, measured against the primary and not against the standby's own clock.

What the primary had flushed at a time bounds every commit acknowledged until then. If a standby has replayed that much,
its lag is at most the time since then, also if it is paused or cut off, or the ledger is idle.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from projections.database.connection import connect, connect_to_standby
from projections.sql.database import DatabaseSql

POLL_S: Final = 0.5
"""Seconds between two measurements: the least lag that can be told."""
ANSWER_S_MAX: Final = 2.0
CATCH_UP_POLL_S: Final = 0.1
SAMPLES_MAX: Final = 4_096
"""Positions of the primary that a standby has not replayed yet; half an hour of them."""
log = logging.getLogger(__name__)


class PrimaryPosition(NamedTuple):
    """What the primary has flushed, and the history that it belongs to."""

    system: int
    timeline: str
    flushed: int


class StandbyPosition(NamedTuple):
    """What a standby has replayed, and the history that it belongs to."""

    is_standby: bool
    system: int
    timeline: str
    replayed: int

    def follows(self, primary: PrimaryPosition) -> bool:
        """Return whether this is a copy of that primary: a server of another history may lack or add commits."""
        return self.is_standby and (self.system, self.timeline) == (primary.system, primary.timeline)


class LagEstimate:
    """Bounds the lag of standbys by what the primary had flushed. It knows no clock and no connection."""

    def __init__(self) -> None:
        self._primary: PrimaryPosition | None = None
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES_MAX)

    def add_primary(self, asked_at: float, position: PrimaryPosition) -> None:
        """Add what the primary had flushed, asked at this monotonic time."""
        if self._primary is None or self._primary[:2] != position[:2]:
            self._samples.clear()  # the positions of another history
        self._primary = position
        self._samples.append((asked_at, position.flushed))

    def find_lag_s(self, position: StandbyPosition, now: float) -> float | None:
        """Return by how many seconds a standby is behind at most; None if that is unknown.

        Args:
            position: What it has replayed.
            now: The monotonic time at which it said so.
        """
        if self._primary is None or not position.follows(self._primary):
            return None
        samples = reversed(self._samples.copy())
        return next((max(0.0, now - asked_at) for asked_at, flushed in samples if flushed <= position.replayed), None)


class StandbyWatch:
    """Measures the lag twice a second in its own thread, so that no request waits for it.

    Args:
        primary_url: libpq URI of the primary.
        standby_url: libpq URI of the standby.
        lag_s_max: Lag beyond which the standby is not asked.
        wait: Waits so many seconds, or until the end.
        monotonic: Seconds.
    """

    def __init__(
        self,
        primary_url: str,
        standby_url: str,
        lag_s_max: float,
        *,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._primary = _Server(lambda: connect(primary_url, answer_timeout_s=ANSWER_S_MAX, connect_timeout=2))
        self._standby = _Server(lambda: connect_to_standby(standby_url, ANSWER_S_MAX))
        self._lag_s_max, self._wait, self._monotonic = lag_s_max, wait, monotonic
        self._estimate = LagEstimate()
        self._lag_s: float | None = None
        self._was_usable: bool | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="standby-lag", daemon=True)
        self._thread.start()

    def measure(self, conn: Connection[Any]) -> float | None:
        """Return by how many seconds the standby of this connection is behind at most.

        Returns:
            None if that is unknown or beyond the bound, so that the primary is to be asked.

        Raises:
            psycopg.Error: The standby does not answer.
        """
        lag_s = self._estimate.find_lag_s(read_standby(conn), self._monotonic())
        return lag_s if lag_s is not None and lag_s <= self._lag_s_max else None

    @property
    def last_lag_s(self) -> float:
        """The last lag that was measured; infinite if it is unknown."""
        return float("inf") if self._lag_s is None else self._lag_s

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(2 * ANSWER_S_MAX)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._measure()
            self._wait(self._closing, POLL_S)
        self._primary.close()
        self._standby.close()

    def _measure(self) -> None:
        asked_at = self._monotonic()
        with suppress(psycopg.Error):  # the lag grows until the primary answers
            self._estimate.add_primary(asked_at, read_primary(self._primary.connect()))
        try:
            position = read_standby(self._standby.connect())
        except psycopg.Error:
            self._lag_s = None
        else:
            self._lag_s = self._estimate.find_lag_s(position, self._monotonic())
        is_usable = self._lag_s is not None and self._lag_s <= self._lag_s_max
        if is_usable and self._was_usable is False:
            log.warning("standby available again")
        elif not is_usable and self._was_usable is not False:
            log.warning("standby unavailable or too far behind")
        self._was_usable = is_usable


def has_caught_up(conn: Connection[Any], target: PrimaryPosition, ends_at: float) -> bool:
    """Wait until the standby of a connection has what the primary had; False if it lacks that at a monotonic time.

    Raises:
        psycopg.Error: The standby does not answer.
    """
    while (position := read_standby(conn)).follows(target):
        if position.replayed >= target.flushed:
            return True
        if time.monotonic() > ends_at:
            return False
        time.sleep(CATCH_UP_POLL_S)
    return False


def read_primary(conn: Connection[Any]) -> PrimaryPosition:
    """Return the position of a primary; raises psycopg.Error on a standby too."""
    return PrimaryPosition(*_fetch_row(conn, DatabaseSql.primary_position))


def read_standby(conn: Connection[Any]) -> StandbyPosition:
    """Return the position of a standby; raises psycopg.Error."""
    return StandbyPosition(*_fetch_row(conn, DatabaseSql.standby_position))


def _fetch_row(conn: Connection[Any], statement: LiteralString) -> tuple[Any, ...]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(statement).fetchall()[0]


class _Server:
    """A connection that is opened when it is needed, and again after an error."""

    def __init__(self, open_connection: Callable[[], Connection[Any]]) -> None:
        self._open = open_connection
        self._conn: Connection[Any] | None = None

    def connect(self) -> Connection[Any]:
        """Return the connection; raises psycopg.Error."""
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = self._open()
        return self._conn

    def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()
