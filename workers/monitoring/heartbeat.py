"""Heartbeats of worker and beat, as keys in Redis that expire; `/readyz` and health checks read them.

`python -m workers.monitoring.heartbeat worker|beat` exits with 0 if REDIS_URL holds a fresh heartbeat of that name.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from projections.terminal.text import say_error
from workers.monitoring.redis_client import HEARTBEAT_KEYS, open_redis_client

RENEW_S = 3.0
EXPIRES_S = 15


class Heartbeat:
    """Renews one key while the process lives and `is_well`. It continues while Redis is unavailable."""

    def __init__(self, redis_url: str, name: str, is_well: Callable[[], bool] = lambda: True) -> None:
        self._key = HEARTBEAT_KEYS[name]
        self._client = open_redis_client(redis_url)
        self._is_well = is_well
        self._ending = threading.Event()
        threading.Thread(target=self._run, name=f"alive-{name}", daemon=True).start()

    def _run(self) -> None:
        while not self._ending.is_set():
            if self._is_well():
                with contextlib.suppress(redis.RedisError):  # `/readyz` says so; it is tried again
                    self._client.set(self._key, "1", ex=EXPIRES_S)
            self._ending.wait(RENEW_S)


class RecentFlag:
    """True for some time after the last `touch`, and after its creation."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._last = monotonic()

    def touch(self) -> None:
        """Record that it happened now."""
        self._last = self._monotonic()

    def __call__(self) -> bool:
        """Return whether it happened within that time."""
        return self._monotonic() - self._last < self._seconds


def start_heartbeat(redis_url: str, scheduled_every_s: float) -> None:
    """Start the heartbeat once this process is a ready worker, or beat.

    Args:
        redis_url: Where the heartbeats are stored.
        scheduled_every_s: How often beat sends something; it is well if it did so within three intervals.
    """
    from celery.signals import after_task_publish, beat_init, worker_ready  # noqa: PLC0415 - health checks do without

    def worker(**_: Any) -> None:
        Heartbeat(redis_url, "worker")

    def beat(**_: Any) -> None:
        scheduled = RecentFlag(max(3 * scheduled_every_s, EXPIRES_S))
        after_task_publish.connect(lambda **_: scheduled.touch(), weak=False)
        Heartbeat(redis_url, "beat", scheduled)

    worker_ready.connect(worker, weak=False)
    beat_init.connect(beat, weak=False)


def main() -> int:
    """Check the heartbeat that the command line names."""
    try:
        is_fresh = open_redis_client(os.environ["REDIS_URL"]).exists(HEARTBEAT_KEYS[sys.argv[1]])
    except redis.RedisError as error:
        say_error(f"the broker cannot be reached: {error}")
        return 1
    return 0 if is_fresh else 1


if __name__ == "__main__":
    sys.exit(main())
