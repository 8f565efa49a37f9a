"""Watching broker, worker and beat from the API: what is missing delays mails, it never stops redemptions."""

import threading
from collections.abc import Callable
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from projections.metrics import PART_MISSING

POLL_S = 1.0
TIMEOUT_S = 0.5
BEATS = {"worker": "ledger:alive:worker", "beat": "ledger:alive:beat"}
"""Keys that workers and beat renew; each expires within 15 seconds of their last sign of life."""
MEMORY_SHARE_MAX = 0.9
PARTS = {
    "broker": "Redis does not answer: invitations wait for it, redeems are taken all the same",
    "worker": "no worker gave a sign of life for 15 s: invitations wait for one",
    "beat": "beat gave no sign of life for 15 s: retries and refunds wait for it",
    "broker_noeviction": "Redis may throw queued work away: set its maxmemory-policy to noeviction",
    "broker_memory": "Redis is at its maxmemory and takes no more work: raise it, or find out what fills it",
}
"""What may be missing, and what that means to an operator. None of it stops redeems."""


class BrokerWatch:
    """Asks Redis once a second, in a thread of its own, so that nobody who serves a request waits for it."""

    def __init__(self, redis_url: str, wait: Callable[[threading.Event, float], bool] = threading.Event.wait) -> None:
        self._client = redis.Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._wait = wait
        self._missing = ["broker", *BEATS]
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker-watch", daemon=True)
        self._thread.start()

    def missing(self) -> list[str]:
        """Which of `PARTS` are missing now (at most some seconds old)."""
        return self._missing

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(TIMEOUT_S * 4)
        self._client.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._missing = self._look()
            for part in PARTS:
                PART_MISSING.labels(part).set(part in self._missing)
            self._wait(self._closing, POLL_S)

    def _look(self) -> list[str]:
        try:
            alive = cast("list[Any]", self._client.mget(list(BEATS.values())))
            info = self._client.info("memory")
        except redis.RedisError:
            return ["broker", *BEATS]
        missing = [name for name, sign in zip(BEATS, alive, strict=True) if sign is None]
        if info.get("maxmemory_policy") not in {None, "noeviction"}:
            missing.append("broker_noeviction")
        if is_nearly_full(info):
            missing.append("broker_memory")
        return missing


def is_nearly_full(info: dict[str, Any]) -> bool:
    """Whether a Redis with this INFO is near its limit, where it would refuse messages."""
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    return limit > 0 and used > limit * MEMORY_SHARE_MAX
