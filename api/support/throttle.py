"""How often somebody may fail to sign in: a bounded memory of failures per process."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

FAILURES_MAX: Final = 10
WINDOW_S: Final = 900.0
KEYS_MAX: Final = 10_000
"""Addresses and accounts remembered; beyond them the one that was quiet for longest is forgotten."""


class Throttle:
    """Counts tries before they are decided, so that many at once can't pass together.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, keys: tuple[str, ...]) -> int | None:
        """Count one try under every key.

        Returns:
            None if it may go on; else whole seconds to wait, and nothing is counted.
        """
        now = self._clock()
        waits = [wait for key in keys if (wait := self._wait(key, now)) is not None]
        if waits:
            return max(waits)
        for key in keys:
            self._tries.setdefault(key, deque(maxlen=FAILURES_MAX)).append(now)
            self._tries.move_to_end(key)
        while len(self._tries) > KEYS_MAX:
            self._tries.popitem(last=False)
        return None

    def forgive(self, keys: tuple[str, ...]) -> None:
        """Take the last try back: it was no failure."""
        for key in keys:
            if tries := self._tries.get(key):
                tries.pop()

    def _wait(self, key: str, now: float) -> int | None:
        tries = self._tries.get(key)
        if tries is None:
            return None
        while tries and tries[0] <= now - WINDOW_S:
            tries.popleft()
        return None if len(tries) < FAILURES_MAX else int(tries[0] + WINDOW_S - now) + 1
