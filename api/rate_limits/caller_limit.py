"""Limits on what one caller asks for: a staff account, or an API key."""

import math
from collections.abc import Callable
from threading import Lock
from typing import Final

from api.rate_limits.gcra import Gcra, Limit

TEST_MESSAGES: Final = Limit("test_messages", 20, 60.0)
"""Test messages: emails to any address, and calls of webhook endpoints."""
QUESTIONS: Final = Limit("questions", 60, 1.0)
"""Calls of tools by assistants."""


class CallerLimit:
    """What callers of one process have used of a limit. Thread-safe, because routes run in threads.

    Args:
        limit: The limit.
        clock: Seconds, monotonic.
    """

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._used = Gcra(limit)
        self._lock = Lock()

    def acquire(self, caller: bytes) -> int:
        """Count one unit of a caller if the limit leaves room; return 0, or the seconds until it does."""
        with self._lock:
            return math.ceil(self._used.acquire(caller, self._clock()))
