"""The sweep finds codes and campaigns that have reached a threshold before their end, and each is reported once."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.command_bus import Command
from domain.commands.campaign.manage_campaign import ChangeCampaignTerms, ReportCampaignEnd
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.report_end import ReportCodeEnd
from domain.commands.context import CommandContext
from domain.events.campaign import CampaignThresholdReached
from domain.events.code import CodeThresholdReached
from domain.results import Result
from domain.values.limits.thresholds import parse_thresholds
from projections.event_store.codec import decode
from projections.storage.group_commit import execute_isolated
from projections.work_queue import near_ends
from projections.work_queue.near_ends import ENDS_MAX, NearEndRows
from tests.support.batch_shapes import registry
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift
from workers.sending.end_reports import EndReporter

DAY, THRESHOLDS = timedelta(days=1), parse_thresholds("7 days, end")


def at(bench: LedgerBench, days: float) -> CommandContext:
    context = bench.context("sweep")
    return replace(context, now=context.now + days * DAY)


def make_reporter(bench: LedgerBench, context: CommandContext) -> EndReporter:
    """What a new process reports with; a bug fails the test."""

    def fail(error: Exception) -> None:
        raise error

    ledger = bench.storage.ledger
    return EndReporter(NearEndRows(bench.storage), ledger.execute, ledger.execute_one, fail, lambda: context)


def sweep(bench: LedgerBench, context: CommandContext) -> int:
    before = len(list_reports(bench))
    reporter = make_reporter(bench, context)
    reporter.run()
    return len(list_reports(bench)) - before


def issue(bench: LedgerBench, days: float, *, has_thresholds: bool = True) -> UUID:
    command = registry.issue(
        bench, expires_at=at(bench, days).now, notify_at=THRESHOLDS if has_thresholds else None
    ).command
    bench.run(command)
    return command.code_id


def list_reports(bench: LedgerBench) -> list[tuple[str, str]]:
    rows = bench.rows("SELECT topic, state FROM ledger_events ORDER BY notification_id")
    events = [decode(topic, bytes(state)) for topic, state in rows]
    kinds = {CodeThresholdReached: "code", CampaignThresholdReached: "campaign"}
    return [
        (kinds[type(event)], event.threshold)
        for event in events
        if isinstance(event, CodeThresholdReached | CampaignThresholdReached)
    ]


def test_sweep_reports_ends_of_codes_and_campaigns_once(bench: LedgerBench) -> None:
    issue(bench, 8)
    issue(bench, 8, has_thresholds=False)
    issue(bench, 30)
    bench.create_campaign(ends_at=at(bench, 9).now, notify_at=THRESHOLDS)

    assert [sweep(bench, at(bench, days)) for days in (0.5, 1.5, 1.5, 2.5, 2.5, 8.5, 9.5, 9.5)] == [
        0,
        1,
        0,
        1,
        0,
        1,
        1,
        0,
    ]
    assert list_reports(bench) == [
        ("code", "7 days"),
        ("campaign", "7 days"),
        ("code", "end"),
        ("campaign", "end"),
    ]


def test_sweep_that_finds_many_continues_with_the_next(bench: LedgerBench) -> None:
    for _ in range(ENDS_MAX + 1):
        issue(bench, 8)

    assert [sweep(bench, at(bench, 2)), sweep(bench, at(bench, 2)), sweep(bench, at(bench, 2))] == [ENDS_MAX, 1, 0]


def test_sweep_looks_at_campaigns_until_one_has_something_to_report(
    bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet ledger sweeps rarely, so a page of campaigns a sweep would report late."""
    monkeypatch.setattr(near_ends, "ENDS_MAX", 1)
    monkeypatch.setattr(near_ends, "CAMPAIGN_PAGES_MAX", 3)
    last = max(bench.create_campaign(ends_at=at(bench, 60).now, notify_at=THRESHOLDS) for _ in range(3))
    changes = {"ends_at": at(bench, 8).now}
    bench.storage.ledger.execute_one(ChangeCampaignTerms(context=at(bench, 0), campaign_id=last, changes=changes))

    assert NearEndRows(bench.storage).find_campaigns(at(bench, 2).now) == [last]

    monkeypatch.setattr(near_ends, "CAMPAIGN_PAGES_MAX", 2)
    rows = NearEndRows(bench.storage)
    assert [rows.find_campaigns(at(bench, 2).now) for _ in range(2)] == [[], [last]]


def test_code_and_campaign_that_a_bug_breaks_delay_no_other(
    bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of them are due before it."""
    monkeypatch.setattr(near_ends, "ENDS_MAX", 1)
    broken = {issue(bench, 7.5), bench.create_campaign(ends_at=at(bench, 8).now, notify_at=THRESHOLDS)}
    issue(bench, 8)
    bench.create_campaign(ends_at=at(bench, 8).now, notify_at=THRESHOLDS)

    bugs: list[Exception] = []

    def execute(commands: Sequence[Command]) -> Sequence[Result]:
        if any(isinstance(command, ReportCodeEnd) and command.code_id in broken for command in commands):
            raise ZeroDivisionError
        return bench.storage.ledger.execute(commands)

    def report_campaign(command: ReportCampaignEnd) -> None:
        if command.campaign_id in broken:
            raise ZeroDivisionError
        bench.storage.ledger.execute_one(command)

    def report_codes(commands: Sequence[Command]) -> object:
        return execute_isolated(execute, commands)

    rows = NearEndRows(bench.storage)
    reporter = EndReporter(rows, report_codes, report_campaign, bugs.append, lambda: at(bench, 2))
    for _ in range(4):
        reporter.run()

    assert sorted(list_reports(bench)) == [("campaign", "7 days"), ("code", "7 days")]
    assert {*map(type, bugs)} == {ZeroDivisionError}


def test_row_that_a_former_version_left_is_not_found(bench: LedgerBench) -> None:
    """It writes the newest time, and leaves that of the report."""
    code_id = issue(bench, 8)
    bench.rows("UPDATE code_balances SET last_at = %s WHERE code_id = %s RETURNING 1", at(bench, 3).now, code_id)

    assert NearEndRows(bench.storage).find_codes(at(bench, 4).now) == []


def test_run_that_should_stop_reports_nothing(bench: LedgerBench) -> None:
    issue(bench, 8)
    reporter = make_reporter(bench, at(bench, 2))
    reporter.run(lambda: True)
    assert list_reports(bench) == []

    reporter.run()
    assert list_reports(bench) == [("code", "7 days")]


def test_moved_end_is_found_at_its_new_time(bench: LedgerBench) -> None:
    code_id = issue(bench, 8)
    assert sweep(bench, at(bench, 2)) == 1
    bench.run(ChangeTerms(context=at(bench, 3), code_id=code_id, changes={"expires_at": at(bench, 20).now}))

    assert [sweep(bench, at(bench, days)) for days in (12, 14, 14)] == [0, 1, 0]
    assert list_reports(bench) == [("code", "7 days")] * 2
    assert_no_drift(bench)
