"""Clients that failed recently: a bounded memory of keys for a fixed time."""

from collections import OrderedDict

from api.rate_limits.expiry import Expiries, drop_expired


class TimedSet:
    """Keys by the time of their last failure.

    Args:
        kept_s: How long a key is remembered, in seconds.
        keys_max: How many keys; beyond it the one without a failure for longest is dropped.
    """

    def __init__(self, memory_s: float, keys_max: int) -> None:
        self._memory_s = memory_s
        self._keys_max = keys_max
        self._until: Expiries = OrderedDict()

    def has(self, key: bytes, now: float) -> bool:
        """Return whether a key is in memory."""
        return self._until.get(key, now) > now

    def add(self, key: bytes, now: float) -> None:
        """Keep a key from now on."""
        until = now + self._memory_s
        self._until[key] = max(until, self._until.get(key, until))
        self._until.move_to_end(key)
        drop_expired(self._until, now, self._keys_max)

    def __len__(self) -> int:
        """Return how many keys are in memory."""
        return len(self._until)
