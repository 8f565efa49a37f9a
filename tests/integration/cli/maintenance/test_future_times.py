"""`ledger clock`, `ledger doctor` and the metric: rows with times that the clock has not reached."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from domain.errors import CampaignDayLimitReached
from domain.ports import RetryLater
from projections.monitoring.ledger_collector import LedgerCollector
from projections.work_queue.impossible_times import TABLES_WITH_TIMES, review_impossible_times
from projections.work_queue.scheduler_lease import SchedulerLease
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.metric_samples import samples
from tests.support.servers.databases import execute

AHEAD = timedelta(days=2)


def reserve_at(bench: LedgerBench, now: datetime) -> None:
    code, clock = bench.issue(), bench.storage.recorder.clock
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(clock), "now", lambda _: now)
        done(bench.redeem(code, "li@example.com"))


def doctor(terminal: Terminal) -> tuple[str, str]:
    (check,) = [check for check in terminal.ledger("doctor", "--json").json["checks"] if check["name"] == "times"]
    return check["status"], check["found"]


def test_clock_lists_rows_with_times_in_the_future_and_brings_them_back(
    own_bench: LedgerBench, terminal: Terminal
) -> None:
    """The lease of a beat that died while the clock was ahead, and a reservation that was made then."""
    reserve_at(own_bench, own_bench.storage.recorder.clock.now() + AHEAD)
    beat = SchedulerLease(own_bench.database_url, "host:1", UUID(int=1))
    assert beat.hold()
    execute(own_bench.database_url, "UPDATE scheduler_lease SET expires_at = expires_at + interval '2 days'")
    rows = {"reservations": 2, "scheduler_lease": 1}

    assert doctor(terminal) == ("wrong", "times in the future: 2 row(s) of reservations, 1 row(s) of scheduler_lease")
    listed = [terminal.ledger("clock", "--json") for _ in range(2)]
    assert [(each.status, each.json) for each in listed] == [(1, {"applied": False, "rows": rows})] * 2
    shown = samples(LedgerCollector(own_bench.database_url)())
    assert {name: int(shown[f'ledger_impossible_times{{table="{name}"}}']) for name in TABLES_WITH_TIMES} == {
        **dict.fromkeys(TABLES_WITH_TIMES, 0),
        **rows,
    }
    assert shown["ledger_scheduler_lease_seconds"] == 0

    applied = terminal.ledger("clock", "--apply")
    assert (applied.status, "brought back" in applied.out) == (0, True)
    assert review_impossible_times(own_bench.database_url) == {"reservations": 1}  # due until a sweep takes it
    beat.close()


def test_times_of_the_log_are_accepted_until_the_clock_is_ahead_again(
    own_bench: LedgerBench, terminal: Terminal
) -> None:
    """Events never change: an operator who has seen their times sees them no more."""
    now = own_bench.storage.recorder.clock.now()
    assert (doctor(terminal)[0], terminal.ledger("clock").status) == ("ok", 0)
    for _ in range(2):
        reserve_at(own_bench, now + AHEAD)
        execute(own_bench.database_url, "UPDATE reservations SET due_at = NULL")  # settled since

        assert terminal.ledger("clock").status == 1
        assert terminal.ledger("clock", "--apply").status == 0
        assert terminal.ledger("clock").status == 0
        assert doctor(terminal)[0] == "ok"


def test_campaign_whose_future_day_is_full_is_named_until_its_limit_is_raised(
    own_bench: LedgerBench, terminal: Terminal
) -> None:
    """It counts no use too few, so it refuses until that day is over, or until staff allows more."""
    campaign_id = own_bench.create_campaign(max_per_day=1)
    code, clock = own_bench.issue(campaign_id=campaign_id), own_bench.storage.recorder.clock
    now = clock.now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(clock), "now", lambda _: now + AHEAD)
        done(own_bench.redeem(code, "li@example.com"))
    execute(own_bench.database_url, "UPDATE reservations SET due_at = NULL")
    terminal.ledger("clock", "--apply")

    assert terminal.ledger("clock", "--json").json["rows"] == {"campaigns": 1}
    refused = own_bench.redeem(own_bench.issue(campaign_id=campaign_id), "wu@example.com")
    assert isinstance(refused, CampaignDayLimitReached)
    assert terminal.ledger("campaign", "terms", str(campaign_id), "--max-per-day", "2").status == 0
    assert terminal.ledger("clock").status == 0
    done(own_bench.redeem(own_bench.issue(campaign_id=campaign_id), "wu@example.com"))


LEGITIMATE = {
    "reminder-in-quiet-hours": (
        "INSERT INTO outbox (reservation_id, template, written_at, due_at, attempts)"
        " VALUES (gen_random_uuid(), 'invite_reminder', now(), now() + interval '11 hours', 0)"
    ),
    "notice-after-a-failure": (
        "INSERT INTO outbox (reservation_id, template, written_at, due_at, attempts)"
        " VALUES (gen_random_uuid(), 'refund_notice', now(), now() + interval '5 minutes', 4)"
    ),
    "revocation": "INSERT INTO revocations VALUES (gen_random_uuid(), now() + interval '30 seconds')",
    "webhook-in-backoff": (
        "WITH endpoint AS (INSERT INTO webhook_endpoints"
        " (endpoint_id, url, event_types, concurrency, state, created_at, changed_at, position, worked_at,"
        " resting_until)"
        " VALUES (gen_random_uuid(), 'https://a.example', '{}', 1, 'enabled', now(), now(), 0, now(),"
        " now() + interval '1 day')"
        " RETURNING endpoint_id) INSERT INTO webhook_deliveries"
        " (delivery_id, endpoint_id, position, event_type, state, made_at, last_at, due_at, attempts)"
        " SELECT gen_random_uuid(), endpoint_id, 1, 'CodeIssued', 'pending', now(), now(),"
        " now() + interval '10 hours', 9"
        " FROM endpoint"
    ),
    "run-of-a-task": "INSERT INTO scheduled_runs VALUES ('sweep', 1, 1, now())",
}


@pytest.mark.parametrize("statement", LEGITIMATE.values(), ids=LEGITIMATE)
def test_wait_within_its_longest_stays(bench: LedgerBench, statement: str) -> None:
    execute(bench.database_url, statement)

    assert review_impossible_times(bench.database_url, apply=True) == {}


def test_deferral_that_a_channel_asked_for_stays(bench: LedgerBench) -> None:
    """A full team, for days."""
    reservation = done(bench.redeem(bench.issue(), "li@example.com")).require_reservation()
    bench.attempt(reservation.reservation_id, RetryLater(server="team", reason="full", wait=timedelta(days=6)))
    due = bench.rows("SELECT due_at FROM reservations")

    assert review_impossible_times(bench.database_url, apply=True) == {}
    assert bench.rows("SELECT due_at FROM reservations") == due
