"""Bounded waiting."""

import time
from collections.abc import Callable

POLL_S = 0.05


def wait_until(condition: Callable[[], bool], s_max: float) -> bool:
    """Ask again and again until the answer is yes.

    Args:
        condition: What is asked.
        s_max: Seconds after which to give up.

    Returns:
        Whether the answer was yes in time.
    """
    deadline = time.monotonic() + s_max
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True
