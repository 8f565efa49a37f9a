"""Sending the invitations of one message: as many at once as there are hands, and few commits for all of them.

Whenever hands are free, what ended meanwhile is recorded and the next ones are claimed in one commit, while the other
hands go on sending. Nothing is claimed that is not sent at once, so a worker that dies leaves few leases behind.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from uuid import UUID

from domain.ports import Channel
from projections.database.errors import StorageUnavailableError
from projections.telemetry.metrics import ERRORS
from workers.channels.group_router import UNBOUNDED, Cooldowns, GroupLimiter
from workers.channels.registry import ChannelPlan
from workers.invitations.delivery_steps import AttemptResult, ClaimedDelivery, DeliverySteps

log = logging.getLogger(__name__)

LINGER_S = 0.003
"""After a letter ended, others may end for so long to be recorded with it; a commit takes about as long."""
RECORD_TRIES_MAX = 5
"""How often outcomes are offered to a database that is away, each time for as long as `execute` waits. An outcome
that is lost makes its letter one in doubt, which is sent a second time."""

LANE_SHARE = 4
"""A group with a channel of its own gets one of so many hands at most."""

Sending = set[Future[AttemptResult]]
"""Letters in somebody's hands."""


def first_ended(sending: Sending) -> tuple[Sending, Sending]:
    """Those that ended, at least one of them, and those that are still being sent. A channel's time is bounded."""
    wait(sending, return_when=FIRST_COMPLETED)
    ended, rest = wait(sending, timeout=LINGER_S)
    return ended, rest


@dataclass(frozen=True, slots=True)
class InvitationBatchSender:
    """What sending takes.

    Attributes:
        executor: The hands.
        concurrency: How many of them there are.
        channel: The calling thread's own channel.
        await_some: Waits for one of the letters at least.
        plan: Which reservations go by a channel of their group's own.
        cooldowns: Which of these channels are left alone for now.
        capacity: How many letters by the usual channel its server takes at once; 0 while it is left alone.
    """

    steps: DeliverySteps
    executor: Executor
    concurrency: int
    channel: Callable[[], Channel]
    wait_for_any: Callable[[Sending], tuple[Sending, Sending]] = first_ended
    plan: Callable[[Sequence[UUID]], ChannelPlan] = lambda _: ChannelPlan()
    cooldowns: Cooldowns = field(default_factory=Cooldowns)
    capacity: Callable[[], int] = lambda: UNBOUNDED

    def work(self, reservation_ids: Sequence[UUID], task_id: str, should_stop: Callable[[], bool]) -> None:
        """Claim, send and record what is due.

        A fault leaves what it hit to leases and sweep: it is counted and logged, and the others go on.

        Args:
            reservation_ids: Any; what is not due is left alone.
            task_id: Whose leases they become.
            should_stop: Once true, nothing more is claimed.
        """
        channel = self.channel().name
        plan = self._planned(reservation_ids)
        steps = replace(self.steps, by_group=plan.by_group)
        left = GroupLimiter(
            reservation_ids, plan.groups, max(self.concurrency // LANE_SHARE, 1), self.cooldowns, self.capacity
        )
        sending: Sending = set()
        holds: dict[Future[AttemptResult], UUID] = {}
        tried: list[AttemptResult] = []
        faults = 0
        while left or sending or tried:
            if should_stop():
                left.clear()
            wanted = left.acquire(self.concurrency - len(sending))
            try:
                claimed = steps.record_and_claim(tried, wanted, channel, task_id)
                tried = []
            except StorageUnavailableError as error:
                _tell(error)
                claimed = []
                left.clear()
                faults += 1
                tried = tried if faults < RECORD_TRIES_MAX else []
            left.release(set(wanted) - {item.item.reservation_id for item in claimed})
            begun = {self.executor.submit(self._send, item): item.item.reservation_id for item in claimed}
            holds |= begun
            ended, sending = self.wait_for_any(sending | set(begun)) if sending or begun else (set(), set())
            left.release([holds.pop(future) for future in ended])
            tried += [found for future in ended if (found := self._outcome(future)) is not None]
            for one in tried:
                left.record(one.claimed.item.reservation_id, one.outcome)

    def _planned(self, reservation_ids: Sequence[UUID]) -> ChannelPlan:
        """Who goes where; with the database away nobody goes anywhere, as the first turn finds out."""
        try:
            return self.plan(reservation_ids)
        except StorageUnavailableError:
            return ChannelPlan()

    def _send(self, claimed: ClaimedDelivery) -> AttemptResult:
        return AttemptResult(claimed, self.steps.send(claimed, self.channel()))

    def _outcome(self, ended: Future[AttemptResult]) -> AttemptResult | None:
        try:
            tried = ended.result()
        except Exception as error:  # noqa: BLE001 - whatever a defect raises, the other letters go on
            _tell(error)
            return None
        return tried


def _tell(fault: Exception) -> None:
    """An outage in one line, as it is told at each letter; a defect with where it was."""
    ERRORS.labels("celery_error").inc()
    is_away = isinstance(fault, StorageUnavailableError)
    log.error("sending invitations failed, the sweep will retry them: %s", fault, exc_info=None if is_away else fault)
