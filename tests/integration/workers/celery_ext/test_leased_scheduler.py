"""What a beat that holds the lease sends, and when."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import pytest
from celery import Celery

from projections.database.errors import StorageUnavailableError
from projections.work_queue.scheduler_lease import SchedulerLease
from workers.celery_ext.leased_scheduler import INTERRUPTED_S, TOGETHER_S, LeasedScheduler, nothing_sent


class HeldLease:
    """A lease that this process holds, and whose runs it may send."""

    fence = 1

    def hold(self) -> bool:
        self.renewals += 1
        return True

    def __init__(self) -> None:
        self.renewals = 0
        self.claims: list[set[str]] = []
        self.others: set[str] = set()
        self.is_unavailable = False

    def claim_runs(self, intervals_s: Mapping[str, float]) -> set[str]:
        if self.is_unavailable:
            raise StorageUnavailableError
        self.claims.append(set(intervals_s))
        return set(intervals_s) - self.others


class HoldingScheduler(LeasedScheduler):
    """The scheduler of a beat that schedules; it notes what it sends."""

    sent: list[str]
    producer: Any = None

    @staticmethod
    def open_lease() -> SchedulerLease:
        return cast("SchedulerLease", HeldLease())

    def apply_async(self, entry: Any, *_args: Any, **_options: Any) -> None:  # noqa: ANN401 - as Celery calls it
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

    scheduler.tick()

    assert scheduler.sent == ["sweep", "sweep"]


def lease_of(scheduler: HoldingScheduler) -> HeldLease:
    return cast("HeldLease", scheduler.lease)


@pytest.fixture
def three() -> HoldingScheduler:
    """A scheduler of two tasks that are due at nearly the same time, and of one that is not."""
    app = Celery(set_as_current=False)
    app.conf.beat_schedule = {name: {"task": name, "schedule": 60.0} for name in ("now", "soon", "later")}
    scheduler = HoldingScheduler(app=app)
    scheduler.sent = []
    for name, wait_s in (("now", 0.0), ("soon", TOGETHER_S / 2), ("later", 30.0)):
        entry = scheduler.schedule[name]
        entry.last_run_at = entry.default_now() - timedelta(seconds=60.0 - wait_s)
    return scheduler


def test_tasks_that_are_due_together_are_claimed_and_sent_together(three: HoldingScheduler) -> None:
    assert three.tick() == 0.0
    three.max_interval = 60.0
    wait_s = three.tick()

    assert (lease_of(three).claims, sorted(three.sent)) == ([{"now", "soon"}], ["now", "soon"])
    assert 20.0 < wait_s <= 30.0


def test_run_that_another_process_has_sent_is_not_sent(three: HoldingScheduler) -> None:
    lease_of(three).others = {"now"}
    three.tick()
    three.tick()

    assert (lease_of(three).claims, three.sent) == ([{"now", "soon"}], ["soon"])


def test_tasks_stay_due_while_the_database_is_unavailable(three: HoldingScheduler) -> None:
    """A run that was not claimed is not lost."""
    lease_of(three).is_unavailable = True
    assert three.tick() == INTERRUPTED_S
    lease_of(three).is_unavailable = False
    three.tick()

    assert sorted(three.sent) == ["now", "soon"]


@pytest.mark.parametrize(("others", "expected"), [(set(), 0), ({"now", "soon"}, 1)], ids=["sent", "nothing-due"])
def test_claim_without_a_run_is_reported_and_renews_the_lease(
    three: HoldingScheduler, others: set[str], expected: int
) -> None:
    """Beat's heartbeat continues without messages, and the claim has renewed the lease."""
    reported: list[object] = []
    lease_of(three).others = others
    nothing_sent.connect(report := lambda **_: reported.append(1), weak=False)
    try:
        three.tick()
    finally:
        nothing_sent.disconnect(report)

    assert len(reported) == expected
    assert lease_of(three).renewals == 2 - 2 * expected
