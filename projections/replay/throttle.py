"""Slowing rebuilds and checks down while redeems use the same machine and database."""

import time
from collections.abc import Callable
from typing import Any, Final

from psycopg import Connection

from projections.sql.event_store import EventStoreSql

BUSY_EVENTS_PER_S: Final = 200
"""Events per second above which the ledger counts as busy: a tenth of what two cores can do."""
POLL_S: Final = 0.25
PAUSE_RATIO: Final = 3.0
"""The pause after a piece of work, as a multiple of the time that it took.

Measured 2026-11-25 on two cores, 4,000 redeems a second and rebuilds one after the other: with 0.5 and with 1 redeems
kept 0.64 to 0.75 of their pace, with 3 they kept 0.76 and 0.78.
"""
PAUSE_S_MAX: Final = 5.0
STEP_S: Final = 0.01
"""CPU seconds of one step of a process that folds; a pause follows each."""


class Throttle:
    """Pauses between pieces of work while others write: the priority of PostgreSQL's processes cannot be lowered.

    Args:
        conn: In autocommit mode; idle whenever a piece of work has ended.
        clock: Seconds.
        sleep: Waits for seconds.
        cpu_clock: CPU seconds of this process.
    """

    def __init__(
        self,
        conn: Connection[Any],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._conn, self._clock, self._sleep, self._cpu_clock = conn, clock, sleep, cpu_clock
        self._position, self._polled_at, self._step_began = self._position_now(), clock(), cpu_clock()
        self.is_busy = False
        """Whether others were writing at the last poll."""

    def run(self, task: Callable[[], object]) -> None:
        """Run a piece of work, and pause after it if others are busy."""
        began = self._clock()
        task()
        seconds = self._clock() - began
        self._poll()
        if self.is_busy:
            self._sleep(min(seconds * PAUSE_RATIO, PAUSE_S_MAX))

    def step(self) -> None:
        """Pause if others are busy and this process has used the CPU for a step since the last pause.

        By CPU time, because a process that waited for the CPU has let others go first already.
        """
        seconds = self._cpu_clock() - self._step_began
        if seconds < STEP_S:
            return
        self._poll()
        if self.is_busy:
            self._sleep(min(seconds * PAUSE_RATIO, PAUSE_S_MAX))
        self._step_began = self._cpu_clock()

    def _poll(self) -> None:
        elapsed_s = self._clock() - self._polled_at
        if elapsed_s < POLL_S:
            return
        position = self._position_now()
        self.is_busy = position - self._position > BUSY_EVENTS_PER_S * elapsed_s
        self._position, self._polled_at = position, self._clock()

    def _position_now(self) -> int:
        row = self._conn.execute(EventStoreSql.stable_position).fetchone()
        return int(row[0]) if row else 0
