"""Sends the invitations of one Celery message: several at once, with few commits for all of them.

Whenever send slots are free, the outcomes since then are recorded and the next reservations are claimed in one commit,
while the other slots continue to send. Nothing is claimed that is not sent immediately, so a worker that dies leaves
few leases behind.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from itertools import count
from uuid import UUID

from domain.ports import Channel, Outcome
from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import ERRORS
from projections.telemetry.tracing import TRACING
from workers.channels.group_router import UNBOUNDED, Cooldowns, GroupLimiter
from workers.channels.registry import ChannelPlan
from workers.invitations.delivery_steps import AttemptResult, ClaimedDelivery, DeliverySteps, Submit

log = logging.getLogger(__name__)

LINGER_S = 0.05
"""After one sending has finished, others may finish for so long to be recorded with it. Only the next claims wait for
the record, and a transaction takes as much CPU time as a dozen of its invitations: of a server that took 24 emails one
after the other, 20 ms made 2.1 transactions and 50 ms 1.3 (2026-11-28)."""
RECORD_ATTEMPTS_MAX = 5
"""How often outcomes are offered to an unavailable database, each time for as long as `execute` waits. A lost outcome
makes its invitation unknown, and it is sent again."""

GROUP_SHARE = 4
"""The largest share of send slots that one group with a channel gets, as a divisor."""

Sending = set[Future[Outcome]]
"""Sendings in progress."""


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

    def add(self, _future: Future[Outcome]) -> None:
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


@dataclass(frozen=True, slots=True)
class InvitationBatchSender:
    """Claims, sends and records invitations. One per process; for one batch at a time.

    Attributes:
        steps: The steps of one delivery.
        executor: Runs sendings; has as many threads as there are send slots.
        concurrency: The number of send slots.
        channel: Returns the calling thread's own channel.
        wait_for_any: Waits for at least one sending.
        plan: Returns which reservations go out by the channel of a group.
        cooldowns: Which groups get nothing for now.
        capacity: How many emails the mail server accepts at once; 0 while it refuses connections.
        submit: Begins to send messages by the default channel without a thread of the executor; None if it can't.
        preload: Receives the reservations of each message before the first is claimed.
    """

    steps: DeliverySteps
    executor: Executor
    concurrency: int
    channel: Callable[[], Channel]
    wait_for_any: Callable[[Sending], tuple[Sending, Sending]] = wait_for_any
    plan: Callable[[Sequence[UUID]], ChannelPlan] = lambda _: ChannelPlan()
    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    capacity: Callable[[], int] = lambda: UNBOUNDED
    submit: Submit | None = None
    preload: Callable[[Sequence[UUID]], None] = lambda _: None

    def run(self, reservation_ids: Sequence[UUID], task_id: str, should_stop: Callable[[], bool]) -> None:
        """Claim, send and record the reservations that are due.

        A failure is counted and logged; its reservation is left to the lease and the sweep, and the others continue.

        Args:
            reservation_ids: Any; those that are not due are skipped.
            task_id: The task whose leases they become.
            should_stop: Once it returns True, nothing more is claimed.
        """
        steps = self.steps.at_wake_up()
        channel = self.channel().name
        plan = self._load_plan(reservation_ids)
        steps = replace(steps, by_group=plan.by_group)
        group_max = max(self.concurrency // GROUP_SHARE, 1)
        limiter = GroupLimiter(reservation_ids, plan.groups, group_max, self.cooldowns, self.capacity)
        sending: Sending = set()
        deliveries_by_future: dict[Future[Outcome], ClaimedDelivery] = {}
        results: list[AttemptResult] = []
        outages = 0
        while limiter or sending or results:
            if should_stop():
                limiter.clear()
            acquired_ids = limiter.acquire(self.concurrency - len(sending))
            try:
                deliveries = steps.record_and_claim(results, acquired_ids, channel, task_id)
                results = []
            except StorageUnavailableError as error:
                _log_failure(error)
                deliveries = []
                limiter.clear()
                outages += 1
                results = results if outages < RECORD_ATTEMPTS_MAX else []
            limiter.release(set(acquired_ids) - {delivery.reservation.reservation_id for delivery in deliveries})
            started = self._begin(deliveries)
            deliveries_by_future |= started
            sending |= set(started)
            finished, sending = self.wait_for_any(sending) if sending else (set(), set())
            ended = {future: deliveries_by_future.pop(future) for future in finished}
            limiter.release([delivery.reservation.reservation_id for delivery in ended.values()])
            results += [
                AttemptResult(delivery, outcome)
                for future, delivery in ended.items()
                if (outcome := _take_outcome(future)) is not None
            ]
            for result in results:
                limiter.record(result.delivery.reservation.reservation_id, result.outcome)

    def _load_plan(self, reservation_ids: Sequence[UUID]) -> ChannelPlan:
        try:
            self.preload(reservation_ids)
            return self.plan(reservation_ids)
        except StorageUnavailableError:
            # Nothing is sent by a wrong channel: the first claim meets the same outage.
            return ChannelPlan()

    def _begin(self, deliveries: Sequence[ClaimedDelivery]) -> dict[Future[Outcome], ClaimedDelivery]:
        """Begin to send, each delivery with its own span."""
        spans = {
            each.reservation.reservation_id: TRACING.start_send(each.reservation, each.lease) for each in deliveries
        }
        started = self._start(deliveries)
        for future, delivery in started.items():
            if (span := spans[delivery.reservation.reservation_id]) is not None:
                future.add_done_callback(span.end)
        return started

    def _start(self, deliveries: Sequence[ClaimedDelivery]) -> dict[Future[Outcome], ClaimedDelivery]:
        """Start sendings. A group may have its own channel and words, and looking them up takes a thread."""
        submit = self.submit
        by_thread = [each for each in deliveries if submit is None or each.reservation.group is not None]
        started = {self.executor.submit(self._send, delivery): delivery for delivery in by_thread}
        if submit is None or len(by_thread) == len(deliveries):
            return started
        others = [delivery for delivery in deliveries if delivery.reservation.group is None]
        return started | self.steps.begin(others, self.channel(), submit)

    def _send(self, delivery: ClaimedDelivery) -> Outcome:
        return self.steps.send(delivery, self.channel())


def _take_outcome(future: Future[Outcome]) -> Outcome | None:
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001 - whatever a bug raises, the other sendings continue
        _log_failure(error)
        return None


def _log_failure(error: Exception) -> None:
    """Log an outage in one line, and a bug with its traceback."""
    ERRORS.labels("celery_error").inc()
    is_outage = isinstance(error, StorageUnavailableError)
    log.error("sending invitations failed", extra={"why": str(error)}, exc_info=None if is_outage else error)
