"""Monitors the broker, and the heartbeats of worker and beat in it.

Missing ones delay emails and never stop redemptions.

Knows no Celery, so that the API can use it.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Final, get_args

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from projections.config.broker_url import BrokerKind, BrokerUrl
from workers.monitoring.broker_client import open_broker_client
from workers.monitoring.broker_state import COMPONENTS, BrokerState, BrokerUnavailableError

POLL_S: Final = 1.0
HEALTHY_POLL_S: Final = 5.0
"""Interval while nothing is missing and no request asks: heartbeats are valid for three times as long."""
STARTING_POLL_S: Final = 0.05
STARTING_POLLS: Final = 600
"""Worker and beat start together with the API: until nothing is missing for the first time, it looks more often."""
TIMEOUT_S: Final = 0.5


class BrokerMonitor:
    """Reads the broker's state in a separate thread, so that no request waits for it.

    It does so once a second while something is missing or requests ask, else every five seconds. Until nothing is
    missing for the first time, it reads 20 times a second, for at most 30 seconds.
    """

    def __init__(
        self,
        broker_url: str,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
        report: Callable[[list[str]], None] = lambda _missing: None,
    ) -> None:
        self._client = open_broker_client(broker_url, TIMEOUT_S)
        self._kind = BrokerUrl.parse(broker_url).kind
        self._wait, self._report = wait, report
        self._state, self._asked = BrokerState(), threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker-watch", daemon=True)
        self._thread.start()

    @property
    def state(self) -> BrokerState:
        """The last state, at most `HEALTHY_POLL_S` old; a question causes the next one within `POLL_S`."""
        if not self._asked.is_set():
            self._asked.set()
        return self._state

    def missing(self) -> list[str]:
        """Return what is missing in the last state."""
        return self.state.missing()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._asked.set()
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
        kinds = GaugeMetricFamily("ledger_broker_info", "1 for the kind of broker in use.", labels=["kind"])
        for kind in get_args(BrokerKind):
            kinds.add_metric([kind], float(kind == self._kind))
        yield kinds
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
        starting_polls = STARTING_POLLS
        while not self._closing.is_set():
            self._asked.clear()
            self._state = self._look()
            missing = self._state.missing()
            self._report(missing)
            starting_polls = starting_polls - 1 if missing else 0
            self._wait_for_next(missing, is_starting=starting_polls > 0)

    def _wait_for_next(self, missing: list[str], *, is_starting: bool) -> None:
        if is_starting:
            self._wait(self._closing, STARTING_POLL_S)
            return
        if not self._wait(self._closing, POLL_S) and not missing:
            self._wait(self._asked, HEALTHY_POLL_S - POLL_S)

    def _look(self) -> BrokerState:
        try:
            return self._client.look()
        except BrokerUnavailableError:
            return BrokerState()
