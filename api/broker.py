"""Watching broker, worker and beat from the API: what is missing delays mails, it never stops redemptions."""

import threading
from collections.abc import Callable
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

POLL_S = 1.0
TIMEOUT_S = 0.5
BEATS = {"worker": "ledger:alive:worker", "beat": "ledger:alive:beat"}
"""Keys that workers and beat renew; each expires within 15 seconds of their last sign of life."""


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
        """Which of broker, worker, beat and safe-eviction-policy are missing now (at most some seconds old)."""
        return self._missing

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(TIMEOUT_S * 4)
        self._client.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._missing = self._look()
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
        return missing
