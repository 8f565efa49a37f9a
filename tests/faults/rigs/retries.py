"""Pauses and retries of runs. Both wait on an event, so that the end of a run interrupts them."""

import random
import time
from collections.abc import Callable
from threading import Event
from typing import Final, TypeVar

from tests.support.waiting import WAIT_S_MAX

RETRY_S: Final = 0.3
RUNS_ON: Final = Event()
"""Of what nothing interrupts."""
T = TypeVar("T")


def pause(choice: random.Random, bounds: tuple[float, float], stop: Event = RUNS_ON) -> bool:
    """Let a random number of seconds pass; return whether `stop` was set in the meantime."""
    return stop.wait(choice.uniform(*bounds))


def retry(action: Callable[[], T], *, stop: Event = RUNS_ON, every_s: float = RETRY_S, s_max: float = WAIT_S_MAX) -> T:
    """Act until it returns something true, for `s_max` seconds at most or until `stop` is set; return the last value.

    Unlike `tests.support.waiting.wait_for`, it leaves to the caller what a wait without success means.
    """
    ends = time.monotonic() + s_max
    while not (value := action()) and time.monotonic() < ends and not stop.wait(every_s):
        pass
    return value
