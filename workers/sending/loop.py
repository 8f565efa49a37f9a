"""Sends what is due, whatever it is: lease, send, record. There is one loop; a kind says what it leases and records.

Whenever slots are free, the outcomes since then are recorded and the next items are leased, while the other slots
continue to send. Nothing is leased that is not sent immediately, so a worker that dies leaves few leases behind.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import ERRORS

log = logging.getLogger(__name__)

LINGER_S = 0.05
"""After one sending has finished, others may finish for so long to be recorded with it. Only the next leases wait for
the record, and a transaction takes as much CPU time as a dozen of its invitations: of a server that took 24 emails one
after the other, 20 ms made 2.1 transactions and 50 ms 1.3 (2026-11-28)."""
RECORD_ATTEMPTS_MAX = 5
"""How often outcomes are offered to an unavailable database, each time for as long as `execute` waits. A lost outcome
makes its message unknown."""

Leased = TypeVar("Leased")
Result = TypeVar("Result")

Sending = set[Future[Any]]
"""Sendings in progress."""


class Ended(NamedTuple, Generic[Leased, Result]):
    """What a worker leased and whose sending has ended. `outcome`: None if nothing is known of it."""

    leased: Leased
    outcome: Result | None


class SendingKind(Protocol[Leased, Result]):
    """A kind of what is sent. `slots`: how many of it are sent at once."""

    @property
    def slots(self) -> int:
        """How many are sent at once."""

    def turn(self, ended: Sequence[Ended[Leased, Result]], free: int) -> Sequence[Leased] | None:
        """Record what ended, and lease what is due next: in one commit where that is possible.

        Args:
            ended: What ended since the last turn. After a failure it comes again.
            free: How many to lease at most; 0 once nothing more is begun.

        Returns:
            What is sent now; none if all that was leased ended without being sent. None: nothing more is due.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """

    def start(self, leased: Sequence[Leased]) -> Mapping[Future[Result], Leased]:
        """Begin to send."""


class _Arrivals:
    """Counts sendings that finish. `concurrent.futures.wait` locks each of them four times to do so.

    It keeps none of them, since each keeps its callbacks: a cycle would wait for the garbage collector.

    Args:
        expected: How many will finish.
    """

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._numbers = count(1)
        self.first, self.last = threading.Event(), threading.Event()

    def add(self, _future: Future[Result]) -> None:
        """Count one that has finished, in whichever thread: `next` is one step of the interpreter."""
        number = next(self._numbers)
        if number == 1:
            self.first.set()
        if number == self._expected:
            self.last.set()


def wait_for_any(sending: Sending) -> tuple[Sending, Sending]:
    """Return finished sendings, at least one, and those in progress. The time of a channel is bounded."""
    arrivals = _Arrivals(len(sending))
    for future in sending:
        future.add_done_callback(arrivals.add)
    arrivals.first.wait()
    arrivals.last.wait(LINGER_S)
    finished = {future for future in sending if future.done()}
    return finished, sending - finished


def send_due(
    kind: SendingKind[Leased, Result],
    should_stop: Callable[[], bool] = lambda: False,
    wait: Callable[[Sending], tuple[Sending, Sending]] = wait_for_any,
) -> None:
    """Send what is due until nothing is.

    A failure is counted and logged. A bug leaves its message to the end of the lease, and the others continue; without
    the database nothing more is begun.

    Args:
        kind: What is sent.
        should_stop: Once it returns True, nothing more is leased.
        wait: Waits for at least one sending, and returns those that ended and the others.
    """
    in_progress: dict[Future[Result], Leased] = {}
    ended: list[Ended[Leased, Result]] = []
    is_stopping, outages = False, 0
    while True:
        is_stopping = is_stopping or should_stop()
        leased: Sequence[Leased] | None = None
        free = 0 if is_stopping else kind.slots - len(in_progress)
        if ended or free:
            try:
                leased = kind.turn(ended, free)
                ended = []
            except StorageUnavailableError as error:
                log_failure(error)
                is_stopping, outages = True, outages + 1
                ended = ended if outages < RECORD_ATTEMPTS_MAX else []
        if leased:
            in_progress |= kind.start(leased)
        if in_progress:
            finished, _ = wait({*in_progress})
            ended += [Ended(in_progress.pop(future), _take_outcome(future)) for future in finished]
        elif not ended and leased is None:
            return


def send_at_once(send: Callable[[Leased], Result], leased: Leased) -> Future[Result]:
    """Send in the calling thread; return the future of what has ended."""
    future: Future[Result] = Future()
    try:
        future.set_result(send(leased))
    except Exception as error:  # noqa: BLE001 - as an executor does, for the loop to count and log
        future.set_exception(error)
    return future


def _take_outcome(future: Future[Result]) -> Result | None:
    """Return the outcome; None after a bug, whatever it raised: the other sendings continue."""
    error = future.exception()
    if error is None:
        return future.result()
    if not isinstance(error, Exception):
        raise error
    log_failure(error)
    return None


def log_failure(error: Exception) -> None:
    """Log an outage in one line, and a bug with its traceback."""
    ERRORS.labels("celery_error").inc()
    is_outage = isinstance(error, StorageUnavailableError)
    log.error("sending failed", extra={"why": str(error)}, exc_info=None if is_outage else error)
