"""A broker that loses, doubles, delays and reorders messages, is away at times, and may forget everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.simulation.faults import Faults
from tests.simulation.kernel import Kernel, Process, Task

PUBLISH_S = 0.002
TIMEOUT_S = 1.0
"""As the transport options of `workers.celery_app`: no publish takes longer."""
LATE_S_MAX = 90.0


class BrokerAwayError(Exception):
    """A publish failed, or its answer got lost."""


@dataclass(eq=False, slots=True)
class Message:
    """A message on its way: a task's name and its ids, all as text."""

    task: str
    ids: Sequence[str]
    number: int
    expires_at: float


class Broker:
    """Queue of messages. Calls step aside, so they belong into tasks."""

    def __init__(self, kernel: Kernel, faults: Faults, visibility_s: float) -> None:
        self._kernel, self._faults, self._visibility_s = kernel, faults, visibility_s
        self._process = Process("broker")
        self._queue: list[Message] = []
        self._held: dict[Message, Process] = {}
        self._takers: list[Task] = []
        self.away_until = 0.0
        self.published: list[Message] = []

    def publish(self, task: str, ids: Sequence[str] = (), expires_s: float = 1e9) -> None:
        """One message.

        Raises:
            BrokerAwayError: It failed, or may have.
        """
        kernel, happens = self._kernel, self._faults.happens
        message = Message(task, ids, len(self.published), kernel.now + expires_s)
        self.published.append(message)
        kernel.sleep(PUBLISH_S)
        if kernel.now < self.away_until or happens("publish error, message lost"):
            self._fail()
        if happens("publish lost"):
            return
        self._deliver(message)
        if happens("message doubled"):
            self._deliver(message)
        if happens("publish error, message queued"):
            self._fail()

    def take(self) -> Message:
        """The next message; waits for one. It is held for the caller's process until `ack`."""
        kernel = self._kernel
        while True:
            if kernel.now >= self.away_until:
                while self._queue:
                    message = self._queue.pop(self._place())
                    if message.expires_at > kernel.now:
                        self._held[message] = kernel.current.process
                        return message
            self._takers.append(kernel.current)
            kernel.park()

    def ack(self, message: Message) -> None:
        """It is done."""
        self._held.pop(message, None)

    def give_back(self, process: Process) -> None:
        """What a process held comes back: at once, or when its time of invisibility is over."""
        for message in [message for message, holder in self._held.items() if holder is process]:
            del self._held[message]
            after = self._kernel.random.choice([0.0, self._visibility_s])
            self._kernel.spawn(self._process, partial(self._enqueue, message), after)

    def flush(self) -> None:
        """Forget everything."""
        self._queue.clear()
        self._held.clear()

    def wake(self) -> None:
        """Let those who wait look again."""
        takers, self._takers = self._takers, []
        for task in takers:
            self._kernel.wake(task)

    def _fail(self) -> None:
        self._kernel.sleep(TIMEOUT_S)
        raise BrokerAwayError

    def _deliver(self, message: Message) -> None:
        if self._faults.happens("message late"):
            after = self._kernel.random.uniform(0, LATE_S_MAX)
            self._kernel.spawn(self._process, partial(self._enqueue, message), after)
        else:
            self._enqueue(message)

    def _enqueue(self, message: Message) -> None:
        self._queue.append(message)
        self.wake()

    def _place(self) -> int:
        if len(self._queue) > 1 and self._faults.happens("message reordered"):
            return self._kernel.random.randrange(1, len(self._queue))
        return 0
