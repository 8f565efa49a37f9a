"""A minimum interval between runs of a task, so that a backlog of equal messages causes one run."""

import time
from collections.abc import Callable


class MinInterval:
    """Allows one run per interval, by this process's monotonic clock. The first run is always allowed."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._next = float("-inf")

    def begin_if_due(self) -> bool:
        """Return whether to run now; if so, the interval begins."""
        now = self._monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
