"""Limits on failed sign-ins: counts in this process's memory, by the same algorithm as code guessing.

Clients are distinguished as well as possible, so that others can't lock an account's owner out. Failures count first by
account and client address together; by account alone only much later. A browser that signed in to the account before
has a separate count that no other failure affects.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from api.rate_limits.gcra import Gcra, Limit
from projections.telemetry.metrics import SIGN_INS_REFUSED

WINDOW_S: Final = 900.0
"""Seconds after which every limit is restored."""


def _limit(name: str, number: int) -> Limit:
    return Limit(name, number, WINDOW_S / number)


PAIR: Final = _limit("pair", 10)
"""Failures for one account from one client address."""
BROWSER: Final = _limit("browser", 10)
"""Failures for one account from one browser that signed in to it before; then no other limit counts."""
SITE: Final = _limit("site", 30)
"""Failures from one client address (IPv6: one /64), whatever the account."""
NETWORK: Final = _limit("network", 100)
"""Failures from one IPv6 network of 48 bits."""
ACCOUNT: Final = _limit("account", 100)
"""Failures for one account from all addresses together."""
ALL: Final = _limit("all", 300)
"""Failures of all clients together: it bounds their cost, and the memory of the other limits."""
OWN: Final = _limit("own", 10)
"""Wrong current passwords of signed-in staff who set a new one."""
STEP: Final = _limit("step", 10)
"""Wrong codes for one account from all browsers that did not sign in to it before: who sends them has the password.

Three of a million codes are right at a time, so guessing one takes years at this rate.
"""
LIMITS: Final = (PAIR, BROWSER, SITE, NETWORK, ACCOUNT, ALL, OWN, STEP)


class FailureCount(NamedTuple):
    """One count that a sign-in is limited by: a limit and a key, which holds only digests."""

    limit: Limit
    key: bytes


class LoginThrottle:
    """Counts requests before they are decided, so that concurrent requests can't pass together.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tables = {limit.name: Gcra(limit) for limit in LIMITS}

    def acquire(self, counts: Sequence[FailureCount]) -> int | None:
        """Count one request under every count.

        Returns:
            None if it may go on; else whole seconds to wait, and nothing is counted.
        """
        now = self._clock()
        wait_s, name = max((self._tables[limit.name].wait_s(key, now), limit.name) for limit, key in counts)
        if wait_s > 0:
            SIGN_INS_REFUSED.labels(name).inc()
            return math.ceil(wait_s)
        for count in counts:
            self._tables[count.limit.name].acquire(count.key, now)
        return None

    def is_used_up(self, count: FailureCount) -> bool:
        """Return whether a further request under this count would have to wait; it is counted in the metric if so."""
        if not self._tables[count.limit.name].wait_s(count.key, self._clock()):
            return False
        SIGN_INS_REFUSED.labels(count.limit.name).inc()
        return True

    def release(self, counts: Sequence[FailureCount]) -> None:
        """Uncount a request that was not a failure."""
        now = self._clock()
        for count in counts:
            self._tables[count.limit.name].put_back(count.key, now)

    def __len__(self) -> int:
        """Return how many keys are in memory."""
        return sum(len(table) for table in self._tables.values())
