"""A broker that loses, doubles, delays and reorders messages, is unavailable at times, and may forget everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.simulation.fault_schedule import FaultSchedule
from tests.simulation.scheduler import Scheduler, SimulatedProcess, Task

PUBLISH_S = 0.002
TIMEOUT_S = 1.0
"""As the transport options of `workers.celery_app`: no publish takes longer."""
LATE_S_MAX = 90.0


class BrokerUnavailableError(Exception):
    """A publish failed, or its answer got lost."""


@dataclass(eq=False, slots=True)
class BrokerMessage:
    """A message on its way: a task's name and its ids, all as text."""

    task: str
    ids: Sequence[str]
    number: int
    expires_at: float


class SimulatedBroker:
    """Queue of messages. Calls step aside, so they belong into tasks."""

    def __init__(self, scheduler: Scheduler, faults: FaultSchedule, visibility_s: float) -> None:
        self._kernel, self._faults, self._visibility_s = scheduler, faults, visibility_s
        self._process = SimulatedProcess("broker")
        self._queue: list[BrokerMessage] = []
        self._unacknowledged: dict[BrokerMessage, SimulatedProcess] = {}
        self._takers: list[Task] = []
        self.away_until = 0.0
        self.published: list[BrokerMessage] = []

    def publish(self, task: str, ids: Sequence[str] = (), expires_s: float = 1e9) -> None:
        scheduler, happens = self._kernel, self._faults.happens
        message = BrokerMessage(task, ids, len(self.published), scheduler.now + expires_s)
        self.published.append(message)
        scheduler.pass_time(PUBLISH_S)
        if scheduler.now < self.away_until or happens("publish error, message lost"):
            self._fail()
        if happens("publish lost"):
            return
        self._deliver(message)
        if happens("message doubled"):
            self._deliver(message)
        if happens("publish error, message queued"):
            self._fail()

    def take(self) -> BrokerMessage:
        """The next message; waits for one. It is held for the caller's process until `ack`."""
        scheduler = self._kernel
        while True:
            if scheduler.now >= self.away_until:
                while self._queue:
                    message = self._queue.pop(self._place())
                    if message.expires_at > scheduler.now:
                        self._unacknowledged[message] = scheduler.current.process
                        return message
            self._takers.append(scheduler.current)
            scheduler.park()

    def ack(self, message: BrokerMessage) -> None:
        self._unacknowledged.pop(message, None)

    def give_back(self, process: SimulatedProcess) -> None:
        """What a process held comes back: at once, or when its time of invisibility is over."""
        for message in [message for message, holder in self._unacknowledged.items() if holder is process]:
            del self._unacknowledged[message]
            after = self._kernel.random.choice([0.0, self._visibility_s])
            self._kernel.spawn(self._process, partial(self._enqueue, message), after)

    def flush(self) -> None:
        self._queue.clear()
        self._unacknowledged.clear()

    def wake(self) -> None:
        takers, self._takers = self._takers, []
        for task in takers:
            self._kernel.wake(task)

    def _fail(self) -> None:
        self._kernel.pass_time(TIMEOUT_S)
        raise BrokerUnavailableError

    def _deliver(self, message: BrokerMessage) -> None:
        if self._faults.happens("message late"):
            after = self._kernel.random.uniform(0, LATE_S_MAX)
            self._kernel.spawn(self._process, partial(self._enqueue, message), after)
        else:
            self._enqueue(message)

    def _enqueue(self, message: BrokerMessage) -> None:
        self._queue.append(message)
        self.wake()

    def _place(self) -> int:
        if len(self._queue) > 1 and self._faults.happens("message reordered"):
            return self._kernel.random.randrange(1, len(self._queue))
        return 0
