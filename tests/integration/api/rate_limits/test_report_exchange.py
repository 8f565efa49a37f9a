"""Each process learns the counts of the others within seconds; a count that gets lost delays no request."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from eventsourcing.persistence import OperationalError

from api.rate_limits.breaker import UNKNOWN_MAX
from api.rate_limits.guard import ADDRESS
from api.rate_limits.report_exchange import Exchange
from projections.repositories.rate_limit_reports import RETENTION_S, RateLimitCounts, RateLimitReportRepository
from tests.support.clients.asgi_requests import ask, inside
from tests.support.clients.in_process_app import settings_over, started
from tests.support.guard_attempts import TimedGuard, attempt
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.waiting import wait_for


def test_failures_of_a_client_count_in_the_other_process(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two backends over one database: what one has refused, the other refuses a moment later."""
    settings = settings_over(database_url, monkeypatch, tmp_path)
    with started(settings) as first, started(settings) as second:

        async def guesses() -> list[int]:
            return [
                (await ask(first, "198.51.100.1", "g@example.com", f"WRONG{number}")).status
                for number in range(2 * ADDRESS.burst)
            ]

        assert 429 in inside(first, guesses)
        guard = second.services.guard
        assert guard is not None
        wait_for(lambda: (left := guard.remaining("198.51.100.1")) is not None and not left[1].units)

        assert inside(second, lambda: ask(second, "198.51.100.1", "h@example.com", "OTHER")).status == 429
        assert inside(second, lambda: ask(second, "198.51.100.2", "h@example.com", "OTHER")).status == 400


def test_reports_reach_each_other_once(bench: LedgerBench) -> None:
    one, two = (RateLimitReportRepository(bench.storage, uuid4()) for _ in range(2))
    report = RateLimitCounts(unknown=3, redeemed=2, spent={("address", b"a" * 16): 3, ("email", b"e" * 32): 1})

    assert one.exchange(report) == []
    (heard,) = two.exchange(None)
    assert heard._replace(age_s=0.0) == report
    assert 0 <= heard.age_s < 60
    assert two.exchange(None) == one.exchange(None) == []
    assert RateLimitReportRepository(bench.storage, uuid4()).exchange(None)[0].spent == report.spent


def test_newest_reports_are_read_when_there_are_too_many(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts while many others count must hear what they counted last, in the order of the reports."""
    monkeypatch.setattr("projections.repositories.rate_limit_reports.ROWS_MAX", 2)
    one, two = (RateLimitReportRepository(bench.storage, uuid4()) for _ in range(2))
    for count in (1, 2, 3, 4):
        one.exchange(RateLimitCounts(count, 0, {}))

    assert [report.unknown for report in two.exchange(None)] == [3, 4]
    assert two.exchange(None) == []


def test_old_reports_go(bench: LedgerBench) -> None:
    """The table holds minutes, anyone who writes."""
    one, two = (RateLimitReportRepository(bench.storage, uuid4()) for _ in range(2))
    one.exchange(RateLimitCounts(1, 0, {}))
    with bench.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE limit_reports SET at = at - make_interval(secs => %s)", (RETENTION_S + 1,))
    heard = two.exchange(None)
    with bench.storage.datastore.get_connection() as conn:
        left = conn.execute("SELECT count(*) AS n FROM limit_reports").fetchall()[0]["n"]

    assert (heard, left) == ([], 0)


def test_nothing_in_the_table_is_in_plain_text(bench: LedgerBench) -> None:
    """Addresses are digests under the pepper, so that the table is of no use to who reads it."""
    vault = bench.storage.vault
    RateLimitReportRepository(bench.storage, uuid4()).exchange(
        RateLimitCounts(1, 0, {("address", vault.digest_client("198.51.100.1")): 1})
    )
    with bench.storage.datastore.get_connection() as conn:
        text = str(conn.execute("SELECT to_jsonb(limit_reports) AS row FROM limit_reports").fetchall())

    assert "198.51" not in text
    assert b"198.51".hex() not in text
    assert vault.digest_client("198.51.100.1") != vault.digest_client("198.51.100.2")


def exchange_reports(*guards: TimedGuard) -> None:
    reports = [guard.guard.report() for guard in guards]
    for listener, own in zip(guards, reports, strict=True):
        listener.guard.merge(report for report in reports if report is not None and report is not own)


def test_processes_open_the_breaker_together() -> None:
    """None of three has seen enough alone."""
    three = [TimedGuard() for _ in range(3)]
    for number in range(UNKNOWN_MAX):
        three[number % 3].guess(attempt(f"198.51.100.{number}"))
    before = [watch.redeem(attempt("198.51.100.3")) for watch in three]
    exchange_reports(*three)

    assert before == [None] * 3
    assert [limited and limited.limit for limited in (watch.redeem(attempt("198.51.100.3")) for watch in three)] == [
        "breaker"
    ] * 3


def test_worst_that_processes_let_through() -> None:
    """Each its own burst before it hears of the others; then the sum is owed, so the rate holds over time."""
    count = 4
    watches = [TimedGuard() for _ in range(count)]
    passed = 0
    for second in range(300):
        for watch in watches:
            watch.now = 10_000.0 + second
            passed += sum(watch.guess(attempt()) is None for _ in range(20))
        exchange_reports(*watches)

    assert passed <= ADDRESS.burst * count + 300 / ADDRESS.period_s + count


def test_report_of_a_newer_version_is_valid() -> None:
    """It may know limits that this one doesn't."""
    watch = TimedGuard()
    watch.guard.merge([RateLimitCounts(1, 0, {("moon", b"m"): 7, ("address", b"a"): 1}, age_s=1.0)])

    assert watch.redeem(attempt()) is None


@pytest.mark.parametrize("fault", [OperationalError(), ZeroDivisionError()], ids=["away", "a defect"])
def test_round_that_fails_stops_nothing(fault: Exception) -> None:
    """The next one is made; requests never wait for either."""
    watch = TimedGuard()
    rounds: list[RateLimitCounts | None] = []

    def exchange_once(report: RateLimitCounts | None) -> Sequence[RateLimitCounts]:
        rounds.append(report)
        if len(rounds) == 1:
            raise fault
        return [RateLimitCounts(0, 0, {})]

    async def twice() -> None:
        exchange = Exchange(watch.guard, exchange_once)
        await exchange.once()
        await exchange.once()

    watch.guess(attempt())
    asyncio.run(twice())

    assert [report and report.unknown for report in rounds] == [1, None]
