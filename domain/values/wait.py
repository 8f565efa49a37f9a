"""How long something waits after failures in a row: ever longer up to a bound, with a jitter."""

from datetime import timedelta
from math import inf
from typing import Final, NamedTuple

STEPS_MAX: Final = 32
"""More steps exceed every longest wait; the limit keeps a large number of failures from overflowing."""


class Wait(NamedTuple):
    """The curve of a wait. It is pure: the random number of the jitter comes from the caller.

    Attributes:
        first_s: Seconds after the first failure.
        factor: How many times as long each further wait is; None: each is longer by `first_s`.
        longest_s: Upper bound in seconds, without the jitter.
        jitter: Largest share of the wait that is added, so that what failed together does not return together.
    """

    first_s: float
    factor: float | None = None
    longest_s: float = inf
    jitter: float = 0.0

    def after(self, failures: int, chance: float = 0.0) -> timedelta:
        """Return the wait after a number of failures, from 1. `chance`: from 0 to 1, at random."""
        growth = failures if self.factor is None else self.factor ** min(failures - 1, STEPS_MAX)
        return timedelta(seconds=min(self.first_s * growth, self.longest_s) * (1 + self.jitter * chance))

    def count_failures(self, waited: timedelta) -> int:
        """Return after how many failures in a row the wait was this long; 0 if it was shorter than the first one."""
        return next((number for number in range(STEPS_MAX) if self.after(number + 1) > waited), STEPS_MAX)
