"""The limit on test messages that one caller sends: emails to any address, and calls of webhook endpoints."""

import math
from collections.abc import Callable
from threading import Lock
from typing import Final

from api.rate_limits.gcra import Gcra, Limit

TEST_MESSAGES: Final = Limit("test_messages", 20, 60.0)
"""Test messages of one staff account or API key."""


class MessageTests:
    """The test messages that one process has sent. Thread-safe, because each is sent in the thread of its route.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sent = Gcra(TEST_MESSAGES)
        self._lock = Lock()

    def acquire(self, caller: bytes) -> int:
        """Count one message of a caller if the limit leaves room; return 0, or the seconds until it does."""
        with self._lock:
            return math.ceil(self._sent.acquire(caller, self._clock()))
