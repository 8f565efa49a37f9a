"""Signs of life of worker and beat, as keys in Redis that expire: what `/readyz` and health checks read."""

import contextlib
import threading
from typing import Any

import redis
from celery.signals import beat_init, worker_ready
from redis.backoff import NoBackoff
from redis.retry import Retry

RENEW_S = 3.0
EXPIRES_S = 15
TIMEOUT_S = 1.0


class SignOfLife:
    """Renews one key until the process ends. Redis away is no reason to stop: it is tried again."""

    def __init__(self, redis_url: str, name: str) -> None:
        self._key = f"ledger:alive:{name}"
        self._client = redis.Redis.from_url(
            redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        self._ending = threading.Event()
        threading.Thread(target=self._run, name=f"alive-{name}", daemon=True).start()

    def _run(self) -> None:
        while True:
            with contextlib.suppress(redis.RedisError):  # `/readyz` says what is missing; the next round tries again
                self._client.set(self._key, "1", ex=EXPIRES_S)
            if self._ending.wait(RENEW_S):
                return


def announce(redis_url: str) -> None:
    """Give signs of life once this process turns out to be a worker that is ready, or beat."""

    def worker(**_: Any) -> None:
        SignOfLife(redis_url, "worker")

    def beat(**_: Any) -> None:
        SignOfLife(redis_url, "beat")

    worker_ready.connect(worker, weak=False)
    beat_init.connect(beat, weak=False)
