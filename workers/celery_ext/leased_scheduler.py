"""Celery's scheduler for several beats: the one that holds the lease in the database schedules, the others stand by."""

import logging
from functools import cached_property
from typing import Any

from celery.beat import ScheduleEntry, Scheduler

from projections.database.errors import StorageUnavailableError
from projections.work_queue.scheduler_lease import SchedulerLease

log = logging.getLogger(__name__)

STANDBY_S = 1.0
"""Seconds between two attempts of a beat that stands by, or whose database is unavailable."""


class LeasedScheduler(Scheduler):  # type: ignore[misc]  # celery has no types
    """Sends only what this process has claimed.

    A claimed run whose message can't be published is lost, as with Celery's own scheduler: it is due again in seconds.

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

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send one due task if this process holds the lease, and return the seconds before the next call."""
        try:
            may_schedule = self.lease.hold()
        except StorageUnavailableError as error:
            self._say("scheduling interrupted", str(error))
            return STANDBY_S
        if not may_schedule:
            self._say("another beat schedules")
            return STANDBY_S
        self._say("scheduling taken over", self.lease.fence)
        self._bring_back_runs()
        return float(super().tick(*args, **kwargs))

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:  # noqa: ANN401 - kombu's producer
        """Send a due task unless another process has sent this run."""
        try:
            is_ours = self.lease.claim_run(entry.name, entry.schedule.run_every.total_seconds())
        except StorageUnavailableError as error:
            self._say("scheduling interrupted", str(error))
            return
        if is_ours:
            super().apply_entry(entry, producer)

    def _bring_back_runs(self) -> None:
        """Let tasks whose last run is in the future be due again: the clock of this host went back."""
        ahead = [entry for entry in self.schedule.values() if entry.last_run_at > entry.default_now()]
        for entry in ahead:
            entry.last_run_at = entry.default_now()
        if ahead:
            self._heap = None  # of the times of the next runs

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
        elif change == "another beat schedules":
            log.info("another beat schedules")
        else:
            log.warning("scheduling interrupted", extra={"why": detail})
