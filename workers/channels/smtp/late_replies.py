"""Waits for the replies of servers that take long to accept an email, after its sender has stopped waiting.

RFC 5321 4.5.3.2.6 allows a server ten minutes for its reply to the final dot. No send slot waits for so long: the
outcome is recorded as unknown, the connection is kept here, and a late acceptance is recorded when it comes. If the
process ends, its connections end, and the email is sent again when the time is over.
"""

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from domain.ports import Accepted, OutboundMessage
from workers.channels.smtp.connection import SmtpConnection, SmtpConnectionError
from workers.channels.smtp.reply_codes import is_positive

MARGIN_S = 5.0
"""Seconds between the end of the waiting here and the earliest next attempt."""


class _Waiting(NamedTuple):
    connection: SmtpConnection
    message: OutboundMessage
    server: str
    begun_at: float


class LateReplies:
    """The connections of one process that wait for late replies. `keep` and `close` are for any thread.

    Args:
        wait_s: Longest time for the reply, from the beginning of the content, in seconds.
        connections_max: How many connections wait at most.
        report: Receives each late acceptance, with the seconds since the beginning of the content.
        count: Receives the number of waiting connections, whenever it changes.
        clock: Monotonic seconds, the same as the connections'.
    """

    def __init__(
        self,
        wait_s: float,
        connections_max: int,
        report: Callable[[OutboundMessage, Accepted, float], None],
        *,
        count: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wait_s, self._connections_max = wait_s, connections_max
        self._report, self._count, self._clock = report, count, clock
        self._inbox: deque[_Waiting] = deque()
        self._waiting: dict[int, _Waiting] = {}
        self._occupied = 0
        self._lock = threading.Lock()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._wake_reader, self._waker = socket.socketpair()

    def retry_after_s(self, begun_at: float) -> float:
        """Return the seconds in which a reply may still come to content that was begun at a time."""
        return max(0.0, begun_at + self._wait_s - self._clock()) + MARGIN_S

    def keep(self, connection: SmtpConnection, message: OutboundMessage, server: str, begun_at: float) -> bool:
        """Wait for a reply on a connection, which is closed afterwards; return False if too many wait already.

        Args:
            connection: All content was sent on it.
            message: The message.
            server: The name of the server in the outcome.
            begun_at: When the content was begun.
        """
        with self._lock:
            if self._is_closing or self._occupied >= self._connections_max:
                return False
            self._change(1)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="late-replies", daemon=True)
                self._thread.start()
        connection.deadline = begun_at + self._wait_s
        self._inbox.append(_Waiting(connection, message, server, begun_at))
        self._waker.send(b"\0")
        return True

    def close(self) -> None:
        """Close the connections without waiting for their replies, and end the thread. Safe to call twice."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
        self._waker.send(b"\0")
        if self._thread is not None:
            self._thread.join()
        self._wake_reader.close()
        self._waker.close()

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._wake_reader, select.POLLIN)
        while not self._is_closing:
            deadline = min((each.connection.deadline for each in self._waiting.values()), default=None)
            wait_ms = None if deadline is None else max(0, round((deadline - self._clock()) * 1000) + 1)
            for fd, _ in poller.poll(wait_ms):
                if fd == self._wake_reader.fileno():
                    self._wake_reader.recv(64)
                elif self._has_ended(self._waiting[fd]):
                    poller.unregister(fd)
                    self._end(self._waiting.pop(fd))
            for fd, each in list(self._waiting.items()):
                if each.connection.deadline <= self._clock():
                    poller.unregister(fd)
                    self._end(self._waiting.pop(fd))
            while self._inbox:
                each = self._inbox.popleft()
                if each.connection.sock is None or self._has_ended(each):
                    self._end(each)
                    continue
                fd = each.connection.sock.fileno()
                self._waiting[fd] = each
                poller.register(fd, select.POLLIN)
        for each in [*self._waiting.values(), *self._inbox]:
            self._end(each)

    def _has_ended(self, each: _Waiting) -> bool:
        """Read what has come; return whether nothing more is to be expected. A late refusal changes nothing."""
        try:
            reply = each.connection.receive_ready()
        except SmtpConnectionError:
            return True
        if reply is not None and is_positive(reply):
            outcome = Accepted(server=each.server, reply_code=reply[0])
            with suppress(Exception):  # the reporter logs; the email is sent again when its time is over
                self._report(each.message, outcome, self._clock() - each.begun_at)
        return reply is not None

    def _end(self, each: _Waiting) -> None:
        each.connection.close()
        with self._lock:
            self._change(-1)

    def _change(self, by: int) -> None:
        self._occupied += by
        self._count(self._occupied)
