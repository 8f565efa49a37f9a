"""Waiting for a condition, with a bound."""

import time
from collections.abc import Callable

POLL_S = 0.05


def wait_until(condition: Callable[[], bool], s_max: float) -> bool:
    """Poll a condition until it is true.

    Args:
        condition: Is called every POLL_S seconds.
        s_max: Seconds after which to stop.

    Returns:
        Whether the condition became true in time.
    """
    deadline = time.monotonic() + s_max
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True
