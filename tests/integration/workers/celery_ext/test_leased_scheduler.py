"""A beat whose host's clock was ahead sends its tasks again once the clock is right."""

from datetime import timedelta
from typing import Any, cast

import pytest
from celery import Celery

from projections.work_queue.scheduler_lease import SchedulerLease
from workers.celery_ext.leased_scheduler import LeasedScheduler


class HeldLease:
    """A lease that this process holds, and whose runs it may send."""

    fence = 1

    def hold(self) -> bool:
        """It does."""
        return True

    def claim_run(self, _task: str, _interval_s: float) -> bool:
        """It may."""
        return True


class HoldingScheduler(LeasedScheduler):
    """The scheduler of a beat that schedules; it notes what it sends."""

    sent: list[str]
    producer: Any = None

    @staticmethod
    def open_lease() -> SchedulerLease:
        """The lease of this test."""
        return cast("SchedulerLease", HeldLease())

    def apply_async(self, entry: Any, *_args: Any, **_options: Any) -> None:  # noqa: ANN401 - as Celery calls it
        """Note a message."""
        self.sent.append(entry.name)


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=2)], ids=["an-hour", "two-days"])
def test_task_is_due_when_the_clock_of_the_host_came_back(ahead: timedelta) -> None:
    """Its last run is in the future then, and so is the next one that Celery has computed from it."""
    app = Celery(set_as_current=False)
    app.conf.beat_schedule = {"sweep": {"task": "sweep", "schedule": 0.0}}
    scheduler = HoldingScheduler(app=app)
    scheduler.sent = []
    scheduler.tick()
    assert scheduler.sent == ["sweep"]
    entry = scheduler.schedule["sweep"]
    entry.last_run_at = entry.default_now() + ahead
    scheduler._heap = None

    scheduler.tick()
    scheduler.tick()

    assert scheduler.sent[1:] == ["sweep"] * (len(scheduler.sent) - 1) != []
