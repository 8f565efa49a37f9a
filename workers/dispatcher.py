"""Sends reservation ids to Celery after the commit, from a background thread.

The message only wakes a worker. A publish error means that the outcome is unknown: it is counted, and the ids are sent
again. The sweep finds lost ones in the database. No request waits for the broker.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

IDS_PER_MESSAGE = 200
"""A message costs API, broker and worker some 5 ms of CPU time together, so never one per redemption under load."""
WAITING_MAX = 100_000
"""Most ids that wait, 16 bytes each. The sweep finds those that do not fit."""
MIN_INTERVAL_S = 0.02
"""Pause after a message, so that redeems in quick succession share a task, which costs more than its message.

The first redeem after a pause waits for nothing.
"""
LINGER_S = 0.1
"""Pause after a message with many ids: then redeems arrive faster than messages are sent."""
LINGER_FROM = 16
RETRY_DELAY_S = 0.5
RETRY_DELAY_S_MAX = 3.0
"""Longest pause between attempts while the broker is unavailable."""


class DispatchQueue:
    """Ids on their way to Celery, and the wait between messages. It knows no thread and no clock.

    Args:
        publish: Sends one message with these ids; raises if that failed or may have failed.
        on_error: Called with each failed publish.

    Attributes:
        has_failed: Whether the last message failed, or may have.
    """

    def __init__(self, publish: Callable[[Sequence[UUID]], None], on_error: Callable[[Exception], None]) -> None:
        self._publish = publish
        self._on_error = on_error
        self._waiting: deque[UUID] = deque()
        self._pause_s = 0.0
        self.has_failed = False

    def __len__(self) -> int:
        """Return how many ids wait."""
        return len(self._waiting)

    def add(self, reservation_id: UUID) -> bool:
        """Add an id; return False if too many wait already."""
        if len(self._waiting) >= WAITING_MAX:
            return False
        self._waiting.append(reservation_id)
        return True

    def publish_some(self) -> float:
        """Publish one message; after an error its ids go back to the front.

        Returns:
            Seconds before the next one.
        """
        ids = [self._waiting.popleft() for _ in range(min(IDS_PER_MESSAGE, len(self._waiting)))]
        try:
            self._publish(ids)
        except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, the outcome is unknown
            self._on_error(error)
            self._waiting.extendleft(reversed(ids))
            self._pause_s = min(max(RETRY_DELAY_S, self._pause_s * 2), RETRY_DELAY_S_MAX)
            self.has_failed = True
        else:
            self._pause_s = _interval_after(len(ids))
            self.has_failed = False
        return self._pause_s


class BackgroundDispatcher:
    """Publishes a queue of ids from a separate thread.

    Args:
        publish: Sends one message with these ids; raises if that failed or may have failed.
        on_error: Called with each failed publish.
    """

    def __init__(
        self,
        publish: Callable[[Sequence[UUID]], None],
        on_error: Callable[[Exception], None],
        *,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._queue = DispatchQueue(publish, on_error)
        self._wait = wait
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    def dispatch(self, reservation_id: UUID) -> None:
        """Wake a worker for a reservation soon. Never blocks, never raises."""
        # Asking is a tenth of setting; the thread clears it before it looks at the queue, so none is left over.
        if self._queue.add(reservation_id) and not self._wake.is_set():
            self._wake.set()

    def close(self, wait_s: float = 2.0) -> None:
        """Publish the waiting ids if the broker answers, then end the thread."""
        self._closing.set()
        self._wake.set()
        self._thread.join(wait_s)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                wait_s = self._queue.publish_some()
                if wait_s and self._wait(self._closing, wait_s) and self._queue.has_failed:
                    return
            if self._closing.is_set():
                return


def _interval_after(ids: int) -> float:
    """Return how long the next message waits for ids; 0 if there were more than fit into this one."""
    if ids == IDS_PER_MESSAGE:
        return 0.0
    return LINGER_S if ids >= LINGER_FROM else MIN_INTERVAL_S


def monotonic_deadline(seconds: float) -> Callable[[], bool]:
    """Return a function that returns True once `seconds` have passed."""
    ends = time.monotonic() + seconds
    return lambda: time.monotonic() >= ends
