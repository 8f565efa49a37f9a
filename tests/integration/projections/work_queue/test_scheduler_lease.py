"""Which beat schedules: one lease, one claim for each run, whatever two processes believe."""

import time
from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg
import pytest

from projections.database.errors import StorageUnavailableError
from projections.monitoring.health_checks import find_scheduler
from projections.work_queue.scheduler_lease import ANSWER_S_MAX, LEASE_S, SchedulerLease
from tests.support.servers.databases import execute

OpenLease = Callable[[int], SchedulerLease]


@pytest.fixture
def open_lease(database_url: str) -> Iterator[OpenLease]:
    """Leases of processes by number, none of which waits between two renewals."""
    leases: list[SchedulerLease] = []
    seconds = iter(range(0, 1_000_000, 10))

    def of_process(number: int) -> SchedulerLease:
        leases.append(SchedulerLease(database_url, f"host:{number}", UUID(int=number), lambda: float(next(seconds))))
        return leases[-1]

    yield of_process
    for lease in leases:
        lease.close()


def expire(database_url: str) -> None:
    """Let the time of the lease pass."""
    execute(database_url, "UPDATE scheduler_lease SET expires_at = clock_timestamp() - interval '1 ms'")


def test_lease_is_held_by_one_process_until_it_expires(open_lease: OpenLease, database_url: str) -> None:
    """The next holder has a higher fence; the one before stands by, and does not get it back."""
    first, second = open_lease(1), open_lease(2)
    assert find_scheduler(database_url) is None

    assert (first.hold(), second.hold(), first.hold(), first.fence) == (True, False, True, 1)
    expire(database_url)
    assert (second.hold(), second.fence, first.hold(), first.fence) == (True, 2, False, None)

    state = find_scheduler(database_url)
    assert state is not None
    assert (state.holder, state.fence, state.expired_s < 0) == ("host:2", 2, True)


def test_lease_keeps_its_fence_when_its_holder_was_late_and_none_took_over(
    open_lease: OpenLease, database_url: str
) -> None:
    """A pause without another beat is no change of the holder."""
    lease = open_lease(1)
    assert lease.hold()
    expire(database_url)

    assert not lease.claim_runs({"sweep": 1.0})
    assert (lease.hold(), lease.fence) == (True, 1)
    assert lease.claim_runs({"sweep": 1.0})


def test_closed_lease_can_be_taken_immediately(open_lease: OpenLease) -> None:
    """A beat that ends in order leaves no gap; one that never held it ends nothing."""
    first, second, third = open_lease(1), open_lease(2), open_lease(3)
    assert first.hold()
    third.close()
    assert not second.hold()

    first.close()

    assert second.hold()


def test_run_is_claimed_once_when_two_processes_believe_to_hold_the_lease(
    open_lease: OpenLease, database_url: str
) -> None:
    """A process was frozen before its claim: the other has taken over, and has sent or will send that run."""
    frozen, other = open_lease(1), open_lease(2)
    assert frozen.hold()
    assert frozen.claim_runs({"sweep": 60.0})
    expire(database_url)
    assert other.hold()

    assert not frozen.claim_runs({"sweep": 60.0})
    assert not other.claim_runs({"sweep": 60.0})  # sent some milliseconds ago
    assert other.claim_runs({"another task": 60.0})
    execute(database_url, "UPDATE scheduled_runs SET claimed_at = claimed_at - interval '31 s'")
    assert [beat.claim_runs({"sweep": 60.0}) for beat in (other, other, frozen)] == [{"sweep"}, set(), set()]
    assert other.claim_runs({"sweep": 60.0, "a third task": 60.0}) == {"a third task"}


def test_pause_of_each_task_is_a_share_of_its_own_interval(open_lease: OpenLease, database_url: str) -> None:
    """Tasks that are claimed together have different intervals."""
    lease, intervals_s = open_lease(1), {"often": 60.0, "seldom": 600.0}
    assert lease.hold()
    assert lease.claim_runs(intervals_s) == set(intervals_s)
    execute(database_url, "UPDATE scheduled_runs SET claimed_at = claimed_at - interval '31 s'")

    assert lease.claim_runs(intervals_s) == {"often"}


def test_claim_renews_the_lease(open_lease: OpenLease, database_url: str) -> None:
    """A holder that claims runs need not renew it as well; one that lost it gets nothing back."""
    first, second = open_lease(1), open_lease(2)
    assert first.hold()
    execute(database_url, "UPDATE scheduler_lease SET expires_at = clock_timestamp() + interval '1 s'")
    first.claim_runs({"sweep": 60.0})
    state = find_scheduler(database_url)
    assert state is not None
    assert -LEASE_S <= state.expired_s < 1 - LEASE_S
    expire(database_url)
    assert second.hold()
    assert first.claim_runs({"another task": 60.0}) == set()
    assert (first.hold(), second.fence) == (False, 2)


def test_lease_is_not_held_when_the_database_does_not_answer(open_lease: OpenLease, database_url: str) -> None:
    """The wait is bounded on this side, since a frozen server does not end a statement; later it is held again."""
    lease = open_lease(1)
    assert lease.hold()
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM scheduler_lease FOR UPDATE")
        started = time.monotonic()
        with pytest.raises(StorageUnavailableError):
            lease.hold()
        waited_s = time.monotonic() - started

    assert waited_s >= ANSWER_S_MAX
    assert lease.fence is None
    assert lease.hold()
