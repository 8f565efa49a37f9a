"""Celery's scheduler for several beats: the one that holds the lease in the database schedules, the others stand by."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from celery.utils.dispatch import Signal

from projections.database.errors import StorageUnavailableError
from projections.work_queue.scheduler_lease import SchedulerLease

log = logging.getLogger(__name__)

STANDBY_S = 1.0
"""Seconds between two attempts of a beat that stands by, or whose database is unavailable."""
INTERRUPTED_S = 0.5
"""Seconds from a claim without an answer until the lease, which another beat may take soon, is renewed."""
TOGETHER_S = 0.25
"""A task that is due so many seconds later is sent with those that are due now, so that beat wakes up once for them."""

nothing_sent = Signal(name="nothing_sent")
"""Sent after a claim that gave the holder of the lease nothing to send, because no work is due."""


class LeasedScheduler(Scheduler):  # type: ignore[misc]  # celery has no types
    """Sends only what this process has claimed.

    A claimed run whose message can't be published is lost, as with Celery's own scheduler: while work is due, the next
    one follows in seconds.
    Celery's scheduler sends one task a call. Here those that are due together share a claim.

    A subclass says where the lease is.
    """

    _said: str = ""

    @staticmethod
    def open_lease() -> SchedulerLease:
        """Open the lease of this process."""
        raise NotImplementedError

    @cached_property
    def lease(self) -> SchedulerLease:
        """This process's lease, opened at the first tick."""
        return self.open_lease()

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Send the tasks that are due if this process holds the lease, and return the seconds before the next call."""
        self._bring_back_runs()
        waits_s = {name: _seconds_until_due(entry) for name, entry in self.schedule.items()}
        wait_s = min(waits_s.values(), default=self.max_interval)
        # A claim renews the lease.
        if (self.lease.fence is None or wait_s > 0) and not self._hold():
            return STANDBY_S
        if wait_s > 0:
            return min(wait_s, float(self.max_interval))
        return self._send([self.schedule[name] for name, wait_s in waits_s.items() if wait_s <= TOGETHER_S])

    def _hold(self) -> bool:
        """Take or renew the lease, and return whether this process schedules."""
        try:
            may_schedule = self.lease.hold()
        except StorageUnavailableError as error:
            self._say("scheduling interrupted", str(error))
            return False
        if may_schedule:
            self._say("scheduling taken over", self.lease.fence)
        else:
            self._say("scheduling done by another beat")
        return may_schedule

    def _send(self, due: Sequence[ScheduleEntry]) -> float:
        """Send those of the tasks that no other process has sent, and return the seconds before the next call."""
        try:
            claimed = self.lease.claim_runs({entry.name: entry.schedule.run_every.total_seconds() for entry in due})
        except StorageUnavailableError as error:
            self._say("scheduling interrupted", str(error))
            return INTERRUPTED_S
        if not claimed and self.lease.fence is not None:
            nothing_sent.send(sender=self)
        for entry in due:
            self.reserve(entry)
            if entry.name in claimed:
                self.apply_entry(entry, producer=self.producer)
                # A broker that does not answer takes a second for each, and the lease must not expire in between.
                with suppress(StorageUnavailableError):  # what is claimed is sent; the next tick reports the outage
                    self.lease.hold()
        return 0.0

    def _bring_back_runs(self) -> None:
        """Let tasks whose last run is in the future be due again: the clock of this host went back."""
        for entry in self.schedule.values():
            entry.last_run_at = min(entry.last_run_at, entry.default_now())

    def close(self) -> None:
        """Let another beat take over, and close."""
        self.lease.close()
        super().close()

    def _say(self, change: str, detail: object = None) -> None:
        """Log a change once."""
        if change == self._said:
            return
        self._said = change
        if change == "scheduling taken over":
            log.info("scheduling taken over", extra={"fence": detail})
        elif change == "scheduling done by another beat":
            log.info("scheduling done by another beat")
        else:
            log.warning("scheduling interrupted", extra={"why": detail})


def _seconds_until_due(entry: ScheduleEntry) -> float:
    is_due, next_s = entry.is_due()
    return 0.0 if is_due else float(next_s)
