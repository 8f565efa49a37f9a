"""The generic cell rate algorithm: per key one number, the time until which it has used its rate up.

It is the virtual scheduling algorithm of ITU-T I.371 (annex A), also ATM Forum Traffic Management 4.1, section 4.4.2: a
unit conforms unless it comes before TAT - tau; then TAT = max(now, TAT) + T. T is the period, tau = (burst - 1) * T.

Two differences, since what counts is known only afterwards: asking and spending are two steps, and units that were
in flight together may be more than the burst. They are owed: TAT goes on, up to a bound.
"""

from collections import OrderedDict
from typing import NamedTuple

from api.rate_limits.expiring_keys import Expiries, drop_expired

KEYS_MAX = 20_000
"""Keys kept per limit, about 4 MB of memory; beyond it the one unused for longest is dropped."""

OWED_S_MAX = 600.0
"""How far beyond a used-up burst a key may get into debt, so that no mistake locks an address out for hours."""

_ROUNDING_S = 1e-6


class Limit(NamedTuple):
    """A burst at once, and one more each period."""

    name: str
    burst: int
    period_s: float

    @property
    def window_s(self) -> int:
        """How long a used-up burst takes to be whole again, in seconds."""
        return round(self.burst * self.period_s)


class Gcra:
    """The units that keys have spent under one limit. Times are seconds of one monotonic clock."""

    def __init__(self, limit: Limit, keys_max: int = KEYS_MAX) -> None:
        self.limit = limit
        self._keys_max = keys_max
        self._until: Expiries = OrderedDict()

    def wait_s(self, key: bytes, now: float, concurrent: int = 0) -> float:
        """Return the seconds until one more unit conforms; 0 if it does now.

        Args:
            key: Whose.
            now: The time.
            concurrent: Requests of the same key that were admitted and whose units may still be spent.
        """
        until = self._until.get(key, now)
        early = max(until, now) + (concurrent + 1 - self.limit.burst) * self.limit.period_s - now
        return early if early > _ROUNDING_S else 0.0

    def remaining(self, key: bytes, now: float) -> int:
        """Return how many units conform now."""
        return max(0, int(self.limit.burst - self.owed(key, now) + _ROUNDING_S))

    def spend(self, key: bytes, now: float, count: int = 1) -> None:
        """Count units, whether they conform or not."""
        burst, period_s = self.limit.burst, self.limit.period_s
        until = max(self._until.pop(key, now), now) + count * period_s
        self._until[key] = min(until, now + burst * period_s + OWED_S_MAX)
        drop_expired(self._until, now, self._keys_max)

    def acquire(self, key: bytes, now: float) -> float:
        """Count one unit if it conforms, until it is known whether it is used; `put_back` ends it if it is not.

        Returns:
            0 if the unit is counted; else the seconds until one conforms, and nothing is counted.
        """
        burst, period_s = self.limit.burst, self.limit.period_s
        until = self._until.get(key)
        start = now if until is None or until < now else until
        if (early := start + (1 - burst) * period_s - now) > _ROUNDING_S:
            return early
        self._until[key] = start + period_s
        if until is None:
            drop_expired(self._until, now, self._keys_max)
        else:
            self._until.move_to_end(key)
        return 0.0

    def put_back(self, key: bytes, now: float) -> None:
        """Uncount a unit that was taken and not used."""
        if (until := self._until.get(key)) is None:
            return
        if (until := until - self.limit.period_s) > now:
            self._until[key] = until
        else:
            del self._until[key]

    def owed(self, key: bytes, now: float) -> float:
        """Return how many units are counted and not yet paid for by time."""
        return max(0.0, self._until.get(key, now) - now) / self.limit.period_s

    def __len__(self) -> int:
        """Return how many keys are kept."""
        return len(self._until)
