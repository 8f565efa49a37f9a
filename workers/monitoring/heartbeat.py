"""Heartbeats of worker and beat, stored in the broker, where they expire; `/readyz` and health checks read them.

`python -m workers.monitoring.heartbeat worker|beat` exits with 0 if REDIS_URL holds a fresh heartbeat of that name.
"""

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from projections.config.variables import read_variables
from projections.terminal.text import say_error
from workers.monitoring.broker_client import open_broker_client
from workers.monitoring.broker_state import HEARTBEAT_S, BrokerUnavailableError

if TYPE_CHECKING:
    from celery.utils.dispatch import Signal

RENEW_S = 5.0
"""A third of the time after which the heartbeat expires."""
RETRY_S = 1.0
"""Wait after a renewal that failed: a broker that answers again soon shows a heartbeat before the last one expires."""


class Heartbeat:
    """Renews one heartbeat while the process lives and `is_well`. It continues while the broker is unavailable."""

    def __init__(self, broker_url: str, name: str, is_well: Callable[[], bool] = lambda: True) -> None:
        self._name = name
        self._client = open_broker_client(broker_url)
        self._is_well = is_well
        self._ending = threading.Event()
        threading.Thread(target=self._run, name=f"alive-{name}", daemon=True).start()

    def _run(self) -> None:
        while not self._ending.wait(self._renew()):
            pass

    def _renew(self) -> float:
        """Renew the heartbeat if the process is well; return the seconds until the next time."""
        if self._is_well():
            try:
                self._client.renew_heartbeat(self._name)
            except BrokerUnavailableError:  # `/readyz` says so
                return RETRY_S
        return RENEW_S


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


def start_heartbeat(broker_url: str, scheduled_every_s: float, nothing_sent: "Signal") -> None:
    """Start the heartbeat once this process is a ready worker, or beat.

    Args:
        broker_url: Where the heartbeats are stored.
        scheduled_every_s: How often beat sends what is due; it is well if it did so, or nothing was due, within three
            intervals.
        nothing_sent: The signal that beat looked, and nothing was due.
    """
    from celery.signals import after_task_publish, beat_init, worker_ready  # noqa: PLC0415 - health checks do without

    def worker(**_: Any) -> None:
        Heartbeat(broker_url, "worker")

    def beat(**_: Any) -> None:
        scheduled = RecentFlag(max(3 * scheduled_every_s, HEARTBEAT_S))
        for signal in (after_task_publish, nothing_sent):
            signal.connect(lambda **_: scheduled.touch(), weak=False)
        Heartbeat(broker_url, "beat", scheduled)

    worker_ready.connect(worker, weak=False)
    beat_init.connect(beat, weak=False)


def main() -> int:
    """Check the heartbeat that the command line names."""
    try:
        state = open_broker_client(read_variables()["REDIS_URL"].value).look()
    except BrokerUnavailableError as error:
        say_error(f"the broker cannot be reached: {error}")
        return 1
    return 0 if {"worker": state.worker, "beat": state.beat}[sys.argv[1]] else 1


if __name__ == "__main__":
    sys.exit(main())
