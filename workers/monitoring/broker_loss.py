"""Detects that the broker lost everything: it was flushed, or restarted without its data.

The sweep trusts the wake-up calls that it gave for a while. Those are gone then, and need not be waited for.
"""

import contextlib

import redis

from workers.monitoring.redis_client import REMEMBERS_KEY, open_redis_client


class BrokerLossDetector:
    """Leaves a mark in the broker and looks whether it is still there."""

    def __init__(self, redis_url: str) -> None:
        self._client = open_redis_client(redis_url)

    def was_wiped(self) -> bool:
        """True once after each loss, to one of those who ask; False if the broker does not answer."""
        with contextlib.suppress(redis.RedisError):
            return bool(self._client.set(REMEMBERS_KEY, "1", nx=True))
        return False
