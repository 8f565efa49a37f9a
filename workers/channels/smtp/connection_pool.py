"""The connections of one process to one mail server: shared by its threads, kept between messages, few if it asks so.

A message that finds all connections busy, or is refused a new one while others are open, waits for one of those: a
server that limits connections costs time, not messages.
"""

import random
import threading
from collections.abc import Callable
from typing import Final

from domain.ports import Rejected
from workers.channels.smtp.connect import Connector, RefusedError
from workers.channels.smtp.connection import SmtpConnection
from workers.channels.smtp.connection_window import ConnectionWindow

OPENING_MAX: Final = 4
"""Connections that one process opens at a time. A backlog would make it open all at once, and a server whose queue of
new connections is full drops the rest without a word: messages waited for 1, 3, 7 and 15 seconds, the pauses of TCP
(measured 2026-11-25 with a listener's backlog of 5)."""
IDLE_S_MAX: Final = 15.0
"""How long a connection is kept between messages; servers may close after five minutes (RFC 5321 4.5.3.2)."""
IDLE_S_LIMITED: Final = 1.0
"""The same where the server limits connections: another process may wait for this one's place."""
WAIT_SHARE: Final = 0.5
"""Part of the time before a message's content that it may wait for a connection; the rest is for the dialogue."""
CLOSER_S: Final = 1.0
"""How often connections are looked at that may have been idle for too long."""
MESSAGES_PER_CONNECTION_MAX: Final = 100
"""Messages after which a connection is replaced: servers end one that carries too many."""


class ConnectionPool:
    """Lends connections. For any number of threads.

    Args:
        connector: Opens connections.
        connections_max: How many there are at most.
        report: Receives the numbers of connections allowed and open, whenever one of them changes.
        on_refusal: Receives each refusal.
        chance: Random numbers from 0 to 1.
    """

    def __init__(
        self,
        connector: Connector,
        connections_max: int,
        *,
        report: Callable[[int, int], None] = lambda _allowed, _open: None,
        on_refusal: Callable[[Rejected], None] = lambda _: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._connector = connector
        self._clock = connector.clock
        self._report = report
        self._on_refusal = on_refusal
        self._chance = chance
        self._changed = threading.Condition()
        self._window = ConnectionWindow(connections_max)
        self._idle: list[SmtpConnection] = []
        """The worn ones first, then in the order of use."""
        self._busy = 0
        self._opening = 0
        self._refusal: Rejected | None = None
        self._closer: threading.Thread | None = None
        self._reported = connections_max, 0
        report(*self._reported)

    def capacity(self) -> int:
        """Tell how many messages can be sent at a time; 0 while the server is left alone."""
        with self._changed:
            now = self._clock()
            self._window.grow(now)
            if self._window.is_resting(now) and not self._open:
                return 0
            return self._window.allowed

    def borrow(self, deadline: float) -> SmtpConnection:
        """Lend an idle connection, else open one, else wait for one. It comes back by `release` or `drop`.

        Args:
            deadline: When all waiting ends, by the connector's clock.

        Raises:
            RefusedError: There is none in time; the outcome is about the connection.
        """
        started_at = self._clock()
        waits_until = started_at + (deadline - started_at) * WAIT_SHARE
        while True:
            connection, replaced = self._borrow(waits_until)
            if connection is not None:
                connection.deadline = deadline
                return connection
            if replaced is not None:
                replaced.close_answered(deadline)
            begun_at = self._clock()
            try:
                connection = self._connector.open(deadline)
            except RefusedError as error:
                self._finish_opening()
                self.record_refusal(error.outcome, begun_at)
            except BaseException:
                self._finish_opening()
                raise
            else:
                self._finish_opening(borrowed=1)
                return connection

    def borrow_idle(self, deadline: float) -> SmtpConnection | None:
        """Lend an idle connection as `borrow` does; None if there is none now.

        Args:
            deadline: When the connection's waiting ends, by the connector's clock.
        """
        with self._changed:
            connection = self._pop_idle(self._clock())
        if connection is not None:
            connection.deadline = deadline
        return connection

    def release(self, connection: SmtpConnection) -> None:
        """Keep a connection for the next message, unless there are too many; one that is worn out is replaced then.

        The worn one counts until its server has let it go: a server that limits connections would refuse the new one.
        """
        with self._changed:
            self._busy -= 1
            is_kept = connection.sock is not None and self._open < self._window.allowed
            if is_kept:
                connection.used_at = self._clock()
                self._idle.insert(0 if _is_worn(connection) else len(self._idle), connection)
                self._start_closer()
            self._notify()
        if not is_kept:
            connection.close_politely()

    def drop(self, connection: SmtpConnection) -> None:
        """End a connection that was lent."""
        with self._changed:
            self._busy -= 1
            self._notify()
        connection.close_politely()

    def part_with(self, connection: SmtpConnection) -> None:  # noqa: ARG002 - as `release` and `drop`
        """Stop counting a connection that was lent; its new holder closes it."""
        with self._changed:
            self._busy -= 1
            self._notify()

    def record_refusal(self, outcome: Rejected, begun_at: float) -> None:
        """Note that the server refused a connection that was begun at `begun_at`, or ended it before a message."""
        self._on_refusal(outcome)
        with self._changed:
            self._refusal = outcome
            self._window.record_refusal(self._clock(), begun_at=begun_at, established=self._open, chance=self._chance())
            self._notify(all_threads=True)

    def drop_idle(self) -> None:
        """End the connections that are not lent: the server may be another one by now, or everything is over."""
        with self._changed:
            ended_connections, self._idle = self._idle, []
            self._notify()
        for connection in ended_connections:
            connection.deadline = self._clock() + 1
            connection.close_politely()

    @property
    def _open(self) -> int:
        """Connections that are open or being opened."""
        return self._busy + len(self._idle) + self._opening

    def _borrow(self, waits_until: float) -> tuple[SmtpConnection | None, SmtpConnection | None]:
        """Return an idle connection, else the one that the caller is to replace; neither if it may open a further one.

        Waits for any of them.
        """
        with self._changed:
            while True:
                now = self._clock()
                if (connection := self._pop_idle(now)) is not None:
                    return connection, None
                self._window.grow(now)
                if self._idle and self._opening < OPENING_MAX:
                    self._opening += 1
                    return None, self._idle.pop(0)
                if self._may_open(now):
                    self._opening += 1
                    self._notify()
                    return None, None
                if not self._open and self._refusal is not None:
                    raise RefusedError(self._refusal)
                if now >= waits_until:
                    raise self._connector.rejection("temporary")
                self._changed.wait(waits_until - now)

    def _pop_idle(self, now: float) -> SmtpConnection | None:
        """Take the connection that was used last, unless that is too long ago. The caller holds the lock."""
        if not self._idle or _is_worn(self._idle[-1]) or now - self._idle[-1].used_at > IDLE_S_MAX:
            return None
        self._busy += 1
        return self._idle.pop()

    def _may_open(self, now: float) -> bool:
        if self._window.is_resting(now) and not self._open:
            return False
        return self._opening < OPENING_MAX and self._open < self._window.allowed

    def _finish_opening(self, borrowed: int = 0) -> None:
        with self._changed:
            self._opening -= 1
            self._busy += borrowed
            if borrowed:
                self._window.record_success()
            self._notify(all_threads=True)

    def _notify(self, *, all_threads: bool = False) -> None:
        """Wake threads that wait, and report. The caller holds the lock."""
        if all_threads:
            self._changed.notify_all()
        else:
            self._changed.notify()
        numbers = self._window.allowed, self._open
        if numbers != self._reported:
            self._reported = numbers
            self._report(*numbers)

    def _start_closer(self) -> None:
        """Start the thread that closes idle connections. The caller holds the lock."""
        if self._closer is None:
            self._closer = threading.Thread(target=self._close_idle, name="idle-connections", daemon=True)
            self._closer.start()

    def _close_idle(self) -> None:
        """End what is idle for too long, until nothing is idle."""
        pause = threading.Event()
        while True:
            pause.wait(CLOSER_S)
            with self._changed:
                last = self._clock() - (IDLE_S_LIMITED if self._window.is_limited else IDLE_S_MAX)
                ended_connections = [connection for connection in self._idle if connection.used_at <= last]
                self._idle = [connection for connection in self._idle if connection.used_at > last]
                if ended_connections:
                    self._notify()
                is_done = not self._idle
                if is_done:
                    self._closer = None
            for connection in ended_connections:
                connection.deadline = self._clock() + 1
                connection.close_politely()
            if is_done:
                return


def _is_worn(connection: SmtpConnection) -> bool:
    return connection.messages >= MESSAGES_PER_CONNECTION_MAX
