"""Who failed lately: a bounded memory of keys for a fixed time."""

from collections import OrderedDict


class TimedSet:
    """Keys by the time of their last failure.

    Args:
        kept_s: How long a key is remembered, in seconds.
        keys_max: How many keys; beyond it the one that was quiet for longest is forgotten.
    """

    def __init__(self, memory_s: float, keys_max: int) -> None:
        self._memory_s = memory_s
        self._keys_max = keys_max
        self._last: OrderedDict[bytes, float] = OrderedDict()

    def has(self, key: bytes, now: float) -> bool:
        """Whether a key is remembered."""
        last = self._last.get(key)
        return last is not None and now - last < self._memory_s

    def add(self, key: bytes, now: float) -> None:
        """Remember a key from now on."""
        self._last[key] = max(now, self._last.get(key, now))
        self._last.move_to_end(key)
        while self._last:
            oldest = next(iter(self._last))
            if self.has(oldest, now) and len(self._last) <= self._keys_max:
                return
            del self._last[oldest]

    def __len__(self) -> int:
        """How many keys are in memory."""
        return len(self._last)
