"""Detects that the broker lost everything: it was flushed, or restarted without its data.

The sweep does not repeat recent wake-up messages. If they are lost, it should.
"""

import contextlib

import redis

from workers.monitoring.redis_client import REMEMBERS_KEY, open_redis_client


class BrokerLossDetector:
    """Sets a mark in the broker and checks whether it is still there."""

    def __init__(self, redis_url: str) -> None:
        self._client = open_redis_client(redis_url)

    def was_wiped(self) -> bool:
        """Return True once after each loss, to one caller; False if the broker does not answer."""
        with contextlib.suppress(redis.RedisError):
            return bool(self._client.set(REMEMBERS_KEY, "1", nx=True))
        return False
