"""How long a message to somebody else's server is tried again, and when: ever more rarely, for three days.

Pure: the moment and the chance of the jitter come from outside.
"""

from datetime import datetime, timedelta
from typing import Final

RETRY_WINDOW: Final = timedelta(days=3)
"""From the first try to the last (Standard Webhooks advises days rather than hours)."""
FIRST_S: Final = 5.0
FACTOR: Final = 4.0
LONGEST_S: Final = 8 * 3600.0
"""5 s, 20 s, 80 s, 5 min, 21 min, 85 min, 6 h, then every 8 h: some sixteen tries."""
JITTER: Final = 0.25
"""What waits for an endpoint doesn't all come back in one moment."""
RETRY_AFTER_MAX_S: Final = 86_400.0
"""Of what a Retry-After asks for."""
REST_FIRST_S: Final = 1.0
REST_LONGEST_S: Final = 300.0


def next_try(first_at: datetime, now: datetime, attempts: int, chance: float, asked_s: float | None) -> datetime | None:
    """When a message is tried again; None if it was tried for long enough.

    Args:
        first_at: The first try.
        now: The one that has just failed.
        attempts: How many there were, that one included; from 1.
        chance: From 0 to 1, at random.
        asked_s: What the other side asked to wait, if it did.
    """
    last = first_at + RETRY_WINDOW
    if now >= last:
        return None
    wait_s = min(FIRST_S * FACTOR ** min(attempts - 1, 16), LONGEST_S) * (1 + JITTER * chance)
    return min(now + timedelta(seconds=max(wait_s, min(asked_s or 0.0, RETRY_AFTER_MAX_S))), last)


def rest(now: datetime, failures: int, chance: float, asked_s: float | None) -> datetime:
    """Until when nothing is sent to a server that is away or asks to be left alone.

    Args:
        now: The moment.
        failures: How many messages in a row it did not take, from 1.
        chance: From 0 to 1, at random.
        asked_s: What it asked to wait, if it did.
    """
    rest_s = min(REST_FIRST_S * 2.0 ** min(failures - 1, 16), REST_LONGEST_S) * (1 + JITTER * chance)
    return now + timedelta(seconds=max(rest_s, min(asked_s or 0.0, RETRY_AFTER_MAX_S)))
