"""Sends the invitations of one Celery message: several at once, with few commits for all of them."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from uuid import UUID

from domain.ports import Channel, Outcome
from projections.database.errors import StorageUnavailableError
from projections.telemetry.tracing import TRACING
from workers.channels.group_router import UNBOUNDED, Cooldowns, GroupLimiter
from workers.channels.registry import ChannelPlan
from workers.sending.delivery_steps import ClaimedDelivery, DeliverySteps, EndedDelivery, Submit
from workers.sending.loop import Sending, send_due, wait_for_any

GROUP_SHARE = 4
"""The largest share of send slots that one group with a channel gets, as a divisor."""


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
        plan = self._load_plan(reservation_ids)
        group_max = max(self.concurrency // GROUP_SHARE, 1)
        limiter = GroupLimiter(reservation_ids, plan.groups, group_max, self.cooldowns, self.capacity)
        steps = replace(self.steps.at_wake_up(), by_group=plan.by_group)
        send_due(_InvitationBatch(self, steps, limiter, self.channel().name, task_id), should_stop, self.wait_for_any)

    def _load_plan(self, reservation_ids: Sequence[UUID]) -> ChannelPlan:
        try:
            self.preload(reservation_ids)
            return self.plan(reservation_ids)
        except StorageUnavailableError:
            # Nothing is sent by a wrong channel: the first claim meets the same outage.
            return ChannelPlan()


@dataclass(frozen=True, slots=True)
class _InvitationBatch:
    """`SendingKind`: the reservations of one message. They are leased in the log."""

    sender: InvitationBatchSender
    steps: DeliverySteps
    limiter: GroupLimiter
    channel: str
    task_id: str

    @property
    def slots(self) -> int:
        return self.sender.concurrency

    def turn(self, ended: Sequence[EndedDelivery], free: int) -> Sequence[ClaimedDelivery] | None:
        self.limiter.release([delivery.reservation.reservation_id for delivery, _ in ended])
        for delivery, outcome in ended:
            if outcome is not None:
                self.limiter.record(delivery.reservation.reservation_id, outcome)
        acquired_ids = self.limiter.acquire(free)
        deliveries = self.steps.record_and_claim(ended, acquired_ids, self.channel, self.task_id)
        self.limiter.release(set(acquired_ids) - {delivery.reservation.reservation_id for delivery in deliveries})
        return deliveries if deliveries or self.limiter else None

    def start(self, leased: Sequence[ClaimedDelivery]) -> Mapping[Future[Outcome], ClaimedDelivery]:
        """Begin to send, each delivery with its own span."""
        spans = {each.reservation.reservation_id: TRACING.start_send(each.reservation, each.lease) for each in leased}
        started = self._start(leased)
        for future, delivery in started.items():
            if (span := spans[delivery.reservation.reservation_id]) is not None:
                future.add_done_callback(span.end)
        return started

    def _start(self, deliveries: Sequence[ClaimedDelivery]) -> dict[Future[Outcome], ClaimedDelivery]:
        """Start sendings. A group may have its own channel and words, and looking them up takes a thread."""
        submit, executor = self.sender.submit, self.sender.executor
        by_thread = [each for each in deliveries if submit is None or each.reservation.group is not None]
        started = {executor.submit(self._send, delivery): delivery for delivery in by_thread}
        if submit is None or len(by_thread) == len(deliveries):
            return started
        others = [delivery for delivery in deliveries if delivery.reservation.group is None]
        return started | self.steps.begin(others, self.sender.channel(), submit)

    def _send(self, delivery: ClaimedDelivery) -> Outcome:
        return self.steps.send(delivery, self.sender.channel())
