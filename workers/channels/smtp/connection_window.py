"""How many connections to one mail server are open at a time: halved when it refuses one, then slowly raised again.

Additive increase, multiplicative decrease and slow start, as TCP has them (RFC 5681): each process finds what the
server grants it without knowing of the others. Pure: time and chance come from outside. For one thread at a time.
"""

from typing import Final

RECOVERY_S: Final = 15.0
"""Without a refusal for so long, one more connection is allowed."""
REST_FIRST_S: Final = 1.0
REST_LONGEST_S: Final = 30.0
"""While no connection is open, the next attempt follows a pause that doubles from the one to the other."""
JITTER: Final = 0.25
"""Processes that were refused together do not come back together."""
DOUBLINGS_MAX: Final = 16


class ConnectionWindow:
    """The number of connections that one process may have to one server.

    Args:
        most: Its upper bound.

    Attributes:
        allowed: The number now, from 1 to `most`.
    """

    def __init__(self, most: int) -> None:
        self.allowed = most
        self._most = most
        self._threshold = most
        self._changed_at = float("-inf")
        self._rest_until = float("-inf")
        self._refusals = 0

    @property
    def is_limited(self) -> bool:
        """Whether the server grants fewer connections than wanted."""
        return self.allowed < self._most

    def is_resting(self, now: float) -> bool:
        """Return whether no connection is to be tried yet."""
        return now < self._rest_until

    def grow(self, now: float) -> None:
        """Allow one more connection if the server refused none for `RECOVERY_S` seconds."""
        if self.is_limited and now - self._changed_at >= RECOVERY_S:
            self.allowed += 1
            self._threshold = max(self._threshold, self.allowed)
            self._changed_at = now

    def record_success(self) -> None:
        """Note that the server let us in: after an outage one more is allowed each time, up to half of what was."""
        self._refusals = 0
        self._rest_until = float("-inf")
        if self.allowed < self._threshold:
            self.allowed += 1

    def record_refusal(self, now: float, *, begun_at: float, established: int, chance: float) -> None:
        """Note that the server refused a connection.

        Args:
            now: Monotonic seconds.
            begun_at: When that connection was begun: those that were begun together count as one refusal.
            established: How many other connections to the server are open.
            chance: From 0 to 1, at random.
        """
        if not established:
            self._refusals += 1
            rest_s = min(REST_FIRST_S * 2.0 ** min(self._refusals - 1, DOUBLINGS_MAX), REST_LONGEST_S)
            self._rest_until = now + rest_s * (1 + JITTER * chance)
            if self.allowed > 1:
                self._threshold = self.allowed // 2
            self.allowed = 1
        else:
            halved = self.allowed // 2 if begun_at > self._changed_at else self.allowed
            self.allowed = self._threshold = max(min(halved, established), 1)
        self._changed_at = now
