"""How a rebuild keeps out of the way of redeems on the same machine and database."""

import time
from collections.abc import Callable
from typing import Any, Final

from psycopg import Connection

from projections.sql.event_store import EventStoreSql

BUSY_EVENTS_PER_S: Final = 200
"""Events per second from which on others count as busy: a tenth of what two cores can do."""
LOOK_S: Final = 0.25
PAUSE_RATIO: Final = 3.0
"""For as long as the database worked for us, times this, it may then work for others only.

Measured 2026-11-25 on two cores, 4,000 redeems a second and rebuilds one after the other: with 0.5 and with 1 redeems
kept 0.64 to 0.75 of their pace, with 3 they kept 0.76 and 0.78.
"""
PAUSE_S_MAX: Final = 5.0


class Pace:
    """Pauses between pieces of work while others write. The database's own processes can't be told to stand back.

    Args:
        conn: In autocommit mode; idle whenever a piece of work has ended.
        clock: Seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        conn: Connection[Any],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._conn, self._clock, self._sleep = conn, clock, sleep
        self._position, self._looked_at = self._head(), clock()
        self.is_busy = False
        """Whether others wrote, when that was looked at last."""

    def during(self, work: Callable[[], object]) -> None:
        """Do a piece of work, and pause after it if others are busy."""
        began = self._clock()
        work()
        seconds = self._clock() - began
        self._look()
        if self.is_busy:
            self._sleep(min(seconds * PAUSE_RATIO, PAUSE_S_MAX))

    def _look(self) -> None:
        since = self._clock() - self._looked_at
        if since < LOOK_S:
            return
        position = self._head()
        self.is_busy = position - self._position > BUSY_EVENTS_PER_S * since
        self._position, self._looked_at = position, self._clock()

    def _head(self) -> int:
        row = self._conn.execute(EventStoreSql.stable_position).fetchone()
        return int(row[0]) if row else 0
