"""Monitors the broker, and the heartbeats of worker and beat in it.

Missing ones delay emails and never stop redemptions.

Knows no Celery, so that the API can use it.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import redis
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from workers.monitoring.redis_client import HEARTBEAT_KEYS, MAIL_MISSING, QUEUE, UNACKED_KEY, open_redis_client

POLL_S = 1.0
TIMEOUT_S = 0.5


MEMORY_SHARE_MAX: Final = 0.9
COMPONENTS: Final = ("broker", "worker", "beat", "broker_noeviction", "broker_memory", "mail_server")


class BrokerState(NamedTuple):
    """The result of one look at the broker; without an answer everything is missing."""

    is_up: bool = False
    worker: bool = False
    beat: bool = False
    is_noeviction: bool = True
    mail_server: bool = True
    queued: int = 0
    unacknowledged: int = 0
    memory_used: int = 0
    memory_max: int = 0

    def missing(self) -> list[str]:
        """Return which of `COMPONENTS` are missing or unsafe."""
        has_memory = not is_nearly_full({"used_memory": self.memory_used, "maxmemory": self.memory_max})
        available = (self.is_up, self.worker, self.beat, self.is_noeviction, has_memory, self.mail_server)
        return [component for component, is_available in zip(COMPONENTS, available, strict=True) if not is_available]


def is_nearly_full(info: dict[str, Any]) -> bool:
    """Return whether a Redis with this INFO is near its memory limit, where it would refuse messages."""
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    return limit > 0 and used > limit * MEMORY_SHARE_MAX


class BrokerMonitor:
    """Reads the broker's state once a second, in a separate thread, so that no request waits for it."""

    def __init__(
        self,
        redis_url: str,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
        report: Callable[[list[str]], None] = lambda _missing: None,
    ) -> None:
        self._client = open_redis_client(redis_url, TIMEOUT_S)
        self._wait, self._report = wait, report
        self.state = BrokerState()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker-watch", daemon=True)
        self._thread.start()

    def missing(self) -> list[str]:
        """Return what is missing now (at most some seconds old)."""
        return self.state.missing()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(TIMEOUT_S * 4)
        self._client.close()

    def numbers(self) -> Iterator[Metric]:
        """Yield the last state as metrics."""
        state = self.state
        components = GaugeMetricFamily(
            "ledger_part_missing",
            "1 while a component that invitations need is unavailable or unsafe, as in /readyz.",
            labels=["part"],
        )
        missing = state.missing()
        for component in COMPONENTS:
            components.add_metric([component], float(component in missing))
        yield components
        queue = GaugeMetricFamily(
            "ledger_queue_depth", "Messages in the broker, and unacknowledged messages at workers.", labels=["state"]
        )
        queue.add_metric(["waiting"], state.queued)
        queue.add_metric(["held"], state.unacknowledged)
        yield queue
        yield GaugeMetricFamily("ledger_broker_memory_bytes", "Memory used by the broker.", state.memory_used)
        yield GaugeMetricFamily(
            "ledger_broker_memory_max_bytes", "Memory limit of the broker; 0 without a limit.", state.memory_max
        )

    def _run(self) -> None:
        while not self._closing.is_set():
            self.state = self._look()
            self._report(self.state.missing())
            self._wait(self._closing, POLL_S)

    def _look(self) -> BrokerState:
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.mget([*HEARTBEAT_KEYS.values(), MAIL_MISSING])
                pipeline.info("memory")
                pipeline.llen(QUEUE)
                pipeline.hlen(UNACKED_KEY)
                heartbeats, info, queued, unacknowledged = pipeline.execute()
        except redis.RedisError:
            return BrokerState()
        return BrokerState(
            is_up=True,
            worker=heartbeats[0] is not None,
            beat=heartbeats[1] is not None,
            mail_server=heartbeats[2] is None,
            is_noeviction=info.get("maxmemory_policy") in {None, "noeviction"},
            queued=queued,
            unacknowledged=unacknowledged,
            memory_used=int(info.get("used_memory", 0)),
            memory_max=int(info.get("maxmemory", 0)),
        )
