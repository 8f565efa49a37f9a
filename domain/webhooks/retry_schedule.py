"""When a webhook message is sent again after a failure: at growing intervals, for three days.

Pure: time and the random number of the jitter come from the caller.
"""

from datetime import datetime, timedelta
from typing import Final

from domain.values.wait import Wait

RETRY_WINDOW: Final = timedelta(days=3)
"""From the first attempt to the last (Standard Webhooks advises days rather than hours)."""
FIRST_S: Final = 5.0
FACTOR: Final = 4.0
LONGEST_S: Final = 8 * 3600.0
"""5 s, 20 s, 80 s, 5 min, 21 min, 85 min, 6 h, then every 8 h: about sixteen attempts."""
JITTER: Final = 0.25
"""Share of the interval that is random, so that messages for one endpoint do not all return at the same time."""
RETRY_AFTER_MAX_S: Final = 86_400.0
"""Longest wait that a Retry-After header may ask for."""
REST_FIRST_S: Final = 1.0
REST_LONGEST_S: Final = 300.0
WAIT: Final = Wait(FIRST_S, FACTOR, LONGEST_S, JITTER)
REST: Final = Wait(REST_FIRST_S, 2.0, REST_LONGEST_S, JITTER)


def next_try(first_at: datetime, now: datetime, attempts: int, chance: float, asked_s: float | None) -> datetime | None:
    """Return when a message is sent again; None if the retry window is over.

    Args:
        first_at: Time of the first attempt.
        now: Time of the attempt that has just failed.
        attempts: Number of attempts so far, including that one.
        chance: From 0 to 1, at random.
        asked_s: What the other side asked to wait, if it did.
    """
    last = first_at + RETRY_WINDOW
    if now >= last:
        return None
    return min(now + _longer_wait(WAIT.after(attempts, chance), asked_s), last)


def rest(now: datetime, failures: int, chance: float, asked_s: float | None) -> datetime:
    """Return until when nothing is sent to a server that is unavailable or asks to wait.

    Args:
        now: The present time.
        failures: How many messages in a row it did not accept, from 1.
        chance: From 0 to 1, at random.
        asked_s: What it asked to wait, if it did.
    """
    return now + _longer_wait(REST.after(failures, chance), asked_s)


def _longer_wait(wait: timedelta, asked_s: float | None) -> timedelta:
    """Return our own wait, or what the other side asked for if that is longer; that only up to a day."""
    return wait if asked_s is None else max(wait, timedelta(seconds=min(asked_s, RETRY_AFTER_MAX_S)))
