"""The sweep finds codes and campaigns that have reached a threshold before their end, and each is reported once."""

from datetime import timedelta
from uuid import UUID

from msgspec.structs import replace

from domain.commands.code.change_terms import ChangeTerms
from domain.commands.context import CommandContext
from domain.events.campaign import CampaignThresholdReached
from domain.events.code import CodeThresholdReached
from domain.values.limits.thresholds import parse_thresholds
from projections.event_store.codec import decode
from projections.work_queue.near_ends import ENDS_MAX, list_near_ends
from tests.support.batch_shapes import registry
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift
from workers.sending.end_reports import report_ends

DAY, THRESHOLDS = timedelta(days=1), parse_thresholds("7 days, end")


def at(bench: LedgerBench, days: float) -> CommandContext:
    """The sweep, some days from now."""
    context = bench.context("sweep")
    return replace(context, now=context.now + days * DAY)


def sweep(bench: LedgerBench, context: CommandContext) -> int:
    """Report what is due; how many codes and campaigns were."""
    due, before = list_near_ends(bench.storage, context.now), len(list_reports(bench))
    report_ends(bench.storage, bench.storage.ledger.execute, context)
    reported = len(list_reports(bench)) - before
    assert reported == len(due.codes) + len(due.campaigns)
    return reported


def issue(bench: LedgerBench, days: float, *, has_thresholds: bool = True) -> UUID:
    """A code whose end is some days ahead."""
    command = registry.issue(
        bench, expires_at=at(bench, days).now, notify_at=THRESHOLDS if has_thresholds else None
    ).command
    bench.run(command)
    return command.code_id


def list_reports(bench: LedgerBench) -> list[tuple[str, str]]:
    """The events that report thresholds, in the order of the log."""
    rows = bench.rows("SELECT topic, state FROM ledger_events ORDER BY notification_id")
    events = [decode(topic, bytes(state)) for topic, state in rows]
    kinds = {CodeThresholdReached: "code", CampaignThresholdReached: "campaign"}
    return [
        (kinds[type(event)], event.threshold)
        for event in events
        if isinstance(event, CodeThresholdReached | CampaignThresholdReached)
    ]


def test_sweep_reports_ends_of_codes_and_campaigns_once(bench: LedgerBench) -> None:
    """Codes without thresholds, or with a far end, are not found."""
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
    """Those that are due longest come first."""
    for _ in range(ENDS_MAX + 1):
        issue(bench, 8)

    assert [sweep(bench, at(bench, 2)), sweep(bench, at(bench, 2)), sweep(bench, at(bench, 2))] == [ENDS_MAX, 1, 0]


def test_moved_end_is_found_at_its_new_time(bench: LedgerBench) -> None:
    """The row follows from the terms, with every change."""
    code_id = issue(bench, 8)
    assert sweep(bench, at(bench, 2)) == 1
    bench.run(ChangeTerms(context=at(bench, 3), code_id=code_id, changes={"expires_at": at(bench, 20).now}))

    assert [sweep(bench, at(bench, days)) for days in (12, 14, 14)] == [0, 1, 0]
    assert list_reports(bench) == [("code", "7 days")] * 2
    assert_no_drift(bench)
