"""Sends the invitations of one Celery message: several at once, with few commits for all of them.

Whenever send slots are free, the outcomes since then are recorded and the next reservations are claimed in one commit,
while the other slots continue to send. Nothing is claimed that is not sent immediately, so a worker that dies leaves
few leases behind.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from uuid import UUID

from domain.ports import Channel, OutboundMessage, Outcome
from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import ERRORS
from projections.telemetry.tracing import TRACING
from workers.channels.group_router import UNBOUNDED, Cooldowns, GroupLimiter
from workers.channels.registry import ChannelPlan
from workers.invitations.delivery_steps import AttemptResult, ClaimedDelivery, DeliverySteps

log = logging.getLogger(__name__)

LINGER_S = 0.02
"""After one sending has finished, others may finish for so long to be recorded with it. Only the next claims wait for
the record, and a transaction takes as much CPU time as a dozen of its invitations."""
RECORD_ATTEMPTS_MAX = 5
"""How often outcomes are offered to an unavailable database, each time for as long as `execute` waits. A lost outcome
makes its invitation unknown, and it is sent again."""

GROUP_SHARE = 4
"""The largest share of send slots that one group with a channel gets, as a divisor."""

Sending = set[Future[Outcome]]
"""Sendings in progress."""


def wait_for_any(sending: Sending) -> tuple[Sending, Sending]:
    """Return finished sendings, at least one, and those in progress. The time of a channel is bounded."""
    wait(sending, return_when=FIRST_COMPLETED)
    finished, in_progress = wait(sending, timeout=LINGER_S)
    return finished, in_progress


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
        submit: Begins to send a message by the default channel without a thread of the executor; None if it can't.
    """

    steps: DeliverySteps
    executor: Executor
    concurrency: int
    channel: Callable[[], Channel]
    wait_for_any: Callable[[Sending], tuple[Sending, Sending]] = wait_for_any
    plan: Callable[[Sequence[UUID]], ChannelPlan] = lambda _: ChannelPlan()
    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    capacity: Callable[[], int] = lambda: UNBOUNDED
    submit: Callable[[OutboundMessage], Future[Outcome]] | None = None

    def run(self, reservation_ids: Sequence[UUID], task_id: str, should_stop: Callable[[], bool]) -> None:
        """Claim, send and record the reservations that are due.

        A failure is counted and logged; its reservation is left to the lease and the sweep, and the others continue.

        Args:
            reservation_ids: Any; those that are not due are skipped.
            task_id: The task whose leases they become.
            should_stop: Once it returns True, nothing more is claimed.
        """
        channel = self.channel().name
        plan = self._load_plan(reservation_ids)
        steps = replace(self.steps, by_group=plan.by_group)
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
            started = {self._begin(delivery): delivery for delivery in deliveries}
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
            return self.plan(reservation_ids)
        except StorageUnavailableError:
            # Nothing is sent by a wrong channel: the first claim meets the same outage.
            return ChannelPlan()

    def _begin(self, delivery: ClaimedDelivery) -> Future[Outcome]:
        """Begin to send. A group may have its own channel and words, and looking them up takes a thread."""
        span = TRACING.start_send(delivery.reservation, delivery.lease)
        if self.submit is None or delivery.reservation.group is not None:
            future = self.executor.submit(self._send, delivery)
        else:
            future = self.steps.begin(delivery, self.channel(), self.submit)
        if span is not None:
            future.add_done_callback(span.end)
        return future

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
