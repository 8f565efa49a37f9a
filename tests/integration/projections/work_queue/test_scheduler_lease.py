"""Which beat schedules: one lease, one claim for each run, whatever two processes believe."""

import time
from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from projections.database.errors import StorageUnavailableError
from projections.monitoring.health_checks import find_scheduler
from projections.sql.work_queue import WorkQueueSql
from projections.work_queue import scheduler_lease
from projections.work_queue.impossible_times import TABLES_WITH_TIMES
from projections.work_queue.scheduler_lease import ANSWER_S_MAX, LEASE_S, QUIET_S, SchedulerLease
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


OFTEN: Final = 2.0
"""Interval of a task, in seconds, that is far shorter than `QUIET_S`."""
FILLERS: Final = {
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "now()",
    "boolean": "false",
    "ARRAY": "'{}'",
    "text": "''",
}
"""Values of columns that must have one, by type; 1 for numbers."""
OF_CAMPAIGN: Final = f"campaigns: campaign_id='{UUID(int=2)}'"
HAND_OUT: Final = f"hand_outs: hand_out_id='{UUID(int=1)}', campaign_id='{UUID(int=2)}'"
PACED: Final = f"hand_out_pace: hand_out_id='{UUID(int=1)}'"
LISTED: Final = f"hand_out_recipients: hand_out_id='{UUID(int=1)}', due_at=now()"
LATER_PARTS: Final = f"{LISTED}; {PACED}, next_at=now(); {HAND_OUT}"
READY: Final = f"{OF_CAMPAIGN}; {LATER_PARTS}"
DUE_WORK: Final = {
    "events-without-checkpoint": "UPDATE merkle_progress SET position = -1",
    "events-missing-in-the-map": "UPDATE reservation_map_progress SET position = -1",
    "events-not-counted": "UPDATE tally_progress SET position = -1",
    "reservation": "reservations: due_at=now()",
    "revocation": "revocations: next_at=now()",
    "notice": "outbox: due_at=now()",
    "offer": "waiting_places: due_at=now()",
    "waiting-list": "campaigns: waiting='[]'",
    "threshold-before-an-end": "code_balances: next_report_at=now(), last_at=now() - interval '1 day'",
    "digest": "threshold_digest: due_at=now()",
    "email-that-staff-asked-for": "hand_out_recipients: due_at=now(), is_asked=true",
    "hand-out": f"{READY}, state='running'",
    "hand-out-that-starts": f"{READY}, state='scheduled', starts_at=now()",
    "webhook-endpoint": "webhook_endpoints: state='enabled', position=-1",
    "webhook-message": f"webhook_endpoints: endpoint_id='{UUID(int=1)}', state='enabled', position=9; "
    f"webhook_deliveries: endpoint_id='{UUID(int=1)}', state='pending', due_at=now()",
}
"""A statement, or rows to insert, by what is due."""
NOT_DUE: Final = {
    "reservation": "reservations: due_at=now() + interval '1 hour'",
    "parked-reservation": "reservations: due_at=NULL",
    "reported-threshold": "code_balances: next_report_at=now() - interval '1 day'",
    "ended-hand-out": f"{READY}, state='ended'",
    "hand-out-within-its-rate": f"{OF_CAMPAIGN}; {LISTED}; {PACED}, next_at=now() + interval '1 hour'; "
    f"{HAND_OUT}, state='running'",
    "hand-out-of-a-full-campaign": f"{OF_CAMPAIGN}, max_uses=1, occupied=1; {LATER_PARTS}, state='running'",
    "hand-out-of-a-past-campaign": f"{OF_CAMPAIGN}, ends_at=now(); {LATER_PARTS}, state='running'",
    "endpoint-in-backoff": ("webhook_endpoints: state='enabled', position=-1, resting_until=now() + interval '1 hour'"),
    "disabled-endpoint": "webhook_endpoints: state='disabled', position=-1",
}
"""The same of what is not."""


def store(database_url: str, work: str) -> None:
    """Run the statement, or insert the rows; columns that need a value and are not named get any."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("ALTER TABLE hand_out_recipients DROP CONSTRAINT hand_out_recipients_recipient_id_fkey")
        if work.startswith("UPDATE"):
            conn.execute(work.encode())
            return
        for row in work.split("; "):
            table, _, assignments = row.partition(": ")
            named = dict(assignment.split("=", 1) for assignment in assignments.split(", "))
            required = conn.execute(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
                " AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'",
                (table,),
            )
            values = {name: FILLERS.get(kind, "1") for name, kind in required} | named
            names = sql.SQL(", ").join(map(sql.Identifier, values))
            conn.execute(
                sql.SQL("INSERT INTO {} ({}) VALUES (").format(sql.Identifier(table), names).as_bytes(conn)
                + ", ".join(values.values()).encode()
                + b")"
            )


@pytest.fixture
def quiet(open_lease: OpenLease, database_url: str) -> SchedulerLease:
    """A lease whose holder has sent a task some seconds ago, on a ledger with no due work."""
    lease = open_lease(1)
    assert lease.hold()
    assert lease.claim_runs({"sweep": OFTEN}) == {"sweep"}
    let_pass(database_url, 2 * OFTEN)
    return lease


def let_pass(database_url: str, seconds: float) -> None:
    """Have the last runs further in the past."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("UPDATE scheduled_runs SET claimed_at = claimed_at - make_interval(secs => %s)", (seconds,))


NO_WORK_OF_BEAT: Final = {
    "access_marks": "a task looks at them each minute",
    "batches": "API processes run them",
    "dispatches": "they wait with reservations",
    "hand_out_pace": "it waits with the recipients of its hand-out",
    "limit_reports": "API processes exchange them",
    "scheduled_runs": "the claims themselves",
    "scheduler_lease": "the lease itself",
}
"""Tables with times that no claim has to look for, and why."""


def test_claim_looks_for_the_work_of_each_table() -> None:
    """Work that it does not look for waits until a claim of a quiet ledger."""
    tables = set(TABLES_WITH_TIMES) - {"ledger_events"}
    cases = " ".join(DUE_WORK.values())
    assert {table for table in tables if table not in WorkQueueSql.is_work_due} <= NO_WORK_OF_BEAT.keys()
    assert {table for table in tables - NO_WORK_OF_BEAT.keys() if table not in cases} == set()


def test_task_is_sent_rarely_while_no_work_is_due(quiet: SchedulerLease, database_url: str) -> None:
    """The run after `QUIET_S` is for what the claim does not look at."""
    assert (quiet.claim_runs({"sweep": OFTEN}), quiet.fence) == (set(), 1)
    let_pass(database_url, QUIET_S)

    assert quiet.claim_runs({"sweep": OFTEN}) == {"sweep"}


@pytest.mark.parametrize("work", DUE_WORK.values(), ids=DUE_WORK)
def test_task_is_sent_at_its_interval_while_work_is_due(quiet: SchedulerLease, database_url: str, work: str) -> None:
    """Each queue that the tasks read is looked at."""
    store(database_url, work)

    assert quiet.claim_runs({"sweep": OFTEN}) == {"sweep"}


@pytest.mark.parametrize("work", NOT_DUE.values(), ids=NOT_DUE)
def test_task_is_sent_rarely_while_work_waits(quiet: SchedulerLease, database_url: str, work: str) -> None:
    """Rows that no task can process now do not count."""
    store(database_url, work)

    assert quiet.claim_runs({"sweep": OFTEN}) == set()


def test_task_is_sent_at_its_interval_while_the_database_cannot_say_what_is_due(
    quiet: SchedulerLease, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lock on one queue stops no other. The claim and the lease need other tables."""
    monkeypatch.setattr(scheduler_lease, "ANSWER_S_MAX", 0.2)
    quiet.close()
    assert quiet.hold()
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
        assert quiet.claim_runs({"sweep": OFTEN}) == {"sweep"}
        let_pass(database_url, 2 * OFTEN)
        monkeypatch.setattr(WorkQueueSql, "is_work_due", "SELECT 1 / 0")  # it is not asked again for a while
        assert quiet.claim_runs({"sweep": OFTEN}) == {"sweep"}
    assert quiet.fence is not None


def test_task_is_sent_when_the_clock_went_back(quiet: SchedulerLease, database_url: str) -> None:
    """What waits until a time that was stored before is made due by the next sweep, which must not be late."""
    let_pass(database_url, -60)

    assert quiet.claim_runs({"sweep": OFTEN}) == {"sweep"}


def test_process_that_lost_the_lease_asks_for_it_again(open_lease: OpenLease, database_url: str) -> None:
    """A claim without the lease says so, because the scheduler renews it by claims alone."""
    first, second = open_lease(1), open_lease(2)
    assert first.hold()
    expire(database_url)
    assert second.hold()
    first.claim_runs({"sweep": OFTEN})

    assert first.fence is None
