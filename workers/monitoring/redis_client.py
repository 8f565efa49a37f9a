"""Clients of the broker that never wait for long, and the keys that worker, beat and API store there.

Knows no Celery, so that the API and `ledger doctor` can use it.
"""

from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S: Final = 1.0
HEARTBEAT_KEYS: Final = {"worker": "ledger:alive:worker", "beat": "ledger:alive:beat"}
"""Keys that workers and beat renew; each expires within 15 seconds of the last heartbeat."""
MAIL_MISSING: Final = "ledger:missing:mail_server"
"""Key that workers set while they can't reach the mail server; it expires within a minute."""
REMEMBERS_KEY: Final = "ledger:remembers"
"""Key that is missing after the broker lost its data."""
QUEUE: Final = "ledger"
UNACKED_KEY: Final = "unacked"
"""kombu's hash of messages that workers hold."""


def open_redis_client(redis_url: str, timeout_s: float = TIMEOUT_S) -> "redis.Redis":
    """Create a client that connects at its first command, waits at most `timeout_s` for each, and does not retry."""
    return redis.Redis.from_url(
        redis_url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
    )
