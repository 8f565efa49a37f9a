"""A minimum interval between runs of a task: a backlog of the same request is one request."""

import time
from collections.abc import Callable


class MinInterval:
    """True at most once in so many seconds, by this process's monotonic clock. The first time always."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._next = float("-inf")

    def begin_if_due(self) -> bool:
        """Whether it is to be done now; if so it counts as done."""
        now = self._monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
