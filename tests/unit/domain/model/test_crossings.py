"""Each crossing of a threshold is one event, in the commit of what crossed it and with its use."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.commands.campaign.manage_campaign import ReportCampaignEnd
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode, ImportedUse, Opening
from domain.commands.code.report_end import ReportCodeEnd
from domain.events.campaign import CampaignThresholdReached
from domain.events.code import CodeThresholdReached
from domain.events.event import Event
from domain.events.reservation import UseReserved
from domain.model.campaign import Campaign, evolve_campaign
from domain.model.crossings import CROSSING_RULE, Crossings
from domain.model.redeem_code import RedeemCode, evolve_code
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.scenario import START, Scenario, ScenarioDraft, done
from tests.unit.domain.histories import History, answer

DAY_S = 86_400


def code(max_uses: int | None, notify_at: str | None, **terms: Any) -> dict[str, Any]:
    """An open code with these thresholds."""
    return {"bound": False, "max_uses": max_uses, "notify_at": notify_at, **terms}


def ending(days: float, notify_at: str) -> dict[str, Any]:
    """An open code whose end is some days ahead."""
    return code(9, notify_at, expires_at=START + timedelta(days=days))


def of_campaign(**terms: Any) -> dict[str, Any]:
    """An open code in a campaign with these thresholds."""
    return {"campaign": make_campaign_terms(**terms), "max_uses": 9, "bound": False}


def reported(history: History) -> str:
    """The thresholds that were reported, in order, with the labels of the reservations that crossed them."""
    labels = {reservation_id: label for label, reservation_id in history.ids.items()}
    events = [event for event in history.events if isinstance(event, CodeThresholdReached | CampaignThresholdReached)]
    return ", ".join(f"{event.threshold} {labels[event.crossed_by] if event.crossed_by else '-'}" for event in events)


@pytest.mark.parametrize(
    ("terms", "steps", "expected"),
    [
        (code(5, "80%, 100%"), "a.reserve b.reserve c.reserve d.reserve e.reserve", "80% d, 100% e"),
        # One use crosses several thresholds, each with its event, in the order in which they are reached.
        (code(1, "50%, 100%, 0 left"), "a.reserve", "50% a, 100% a, 0 left a"),
        # A sent invitation crosses nothing: what is reserved may no longer be redeemed by others.
        (code(1, "100%"), "a.deliver", "100% a"),
        # A threshold is reported again only after the uses fell below it.
        (code(3, "60%"), "a.reserve b.reserve c.reserve c.refund", "60% b"),
        (
            code(3, "60%"),
            "a.reserve b.reserve c.reserve c.refund d.reserve d.refund#r2 a.refund#r3 e.reserve",
            "60% b, 60% e",
        ),
        # The refund of an overdue use and the next use cross again in one commit: the log shows what is in between.
        (code(1, "100%"), "a.reserve 1801s b.reserve", "100% a, 100% b"),
        # A failed invitation releases its use and reports nothing.
        (code(1, "100%"), "a.reserve a.refused", "100% a"),
        (code(2, None), "a.reserve b.reserve", ""),
        (code(None, "80%"), "a.reserve b.reserve", ""),
        # A use of any code of a campaign; a refund of one code's use lets the use of another one cross again.
        (
            of_campaign(max_uses=2, notify_at="100%"),
            "issue:other a.reserve b.redeemother a.refund c.reserve",
            "100% b, 100% c",
        ),
        (of_campaign(max_uses=4, notify_at="100%"), "a.reserve b.reserve set:max_uses:2", "100% -"),
        # A redeem that comes before the sweep: its use crossed one threshold, and time another.
        (ending(8, "10%, 7 days"), "2d a.reserve", "10% a, 7 days -"),
        (
            of_campaign(max_uses=4, ends_at=START + timedelta(days=8), notify_at="25%, 7 days, end"),
            "2d a.reserve",
            "25% a, 7 days -",
        ),
        # A code that is issued near its end.
        (ending(5, "7 days"), "", "7 days -"),
    ],
)
def test_use_that_crosses_a_threshold_is_reported(terms: dict[str, Any], steps: str, expected: str) -> None:
    history = History(steps, **terms)

    assert reported(history) == expected
    if "campaign" not in terms:
        assert broken_rules(history.events) == []


def test_use_that_crosses_a_threshold_is_named_by_an_event_after_it() -> None:
    """The event has time, actor and cause of the use."""
    history = History("a.reserve b.reserve c.reserve d.reserve", **code(5, "80%"))
    use, report = history.working_set.new_events[-2:]

    assert isinstance(use.event, UseReserved)
    assert (report.event.caused_by, report.event.at) == (use.originator_version, use.event.at)
    assert report.event.actor == use.event.actor == "person"


def test_report_of_a_campaign_names_the_code() -> None:
    history = History("a.reserve a.refund", **of_campaign(max_uses=1, notify_at="100%"))
    other = history.issue(b"other", max_uses=9, bound=False)
    history.run_steps("b.redeemother")

    crossings = [event for event in history.events if isinstance(event, CampaignThresholdReached)]
    assert [event.code_id for event in crossings] == [history.code_id, other]


def change(history: History, **changes: object) -> None:
    command = ChangeTerms(context=history.context("staff", "s1"), code_id=history.code_id, changes=changes)
    done(history.run(command))


def test_change_of_terms_that_reaches_a_threshold_reports_it_without_a_use() -> None:
    """A lower limit, a threshold below the present uses; not one that was reached before."""
    history = History("a.reserve b.reserve", **code(4, "100%"))

    change(history, max_uses=2)
    change(history, notify_at="50%, 100%")
    change(history, max_uses=4)
    change(history, max_uses=3)
    history.run_steps("c.reserve")

    assert reported(history) == "100% -, 50% -, 100% c"


def imported(uses: Sequence[ImportedUse] = (), issued_at: datetime | None = None, **terms: object) -> list[Event]:
    scenario = Scenario()
    code_id = scenario.new_id()
    command = ImportCode(
        context=scenario.context("import"),
        code_id=code_id,
        text=ScenarioDraft([b"kept"], code_id),
        source="csv",
        terms=make_terms(max_uses=5, **terms),
        bound=False,
        issued_at=issued_at,
        uses=uses,
        openings=[Opening(uses=4 - len(uses), reason="stated")],
    )
    done(scenario.run(command))
    return [each.event for each in scenario.working_set.new_events if each.originator_id == code_id]


def thresholds(events: Sequence[Event]) -> list[tuple[str, UUID | None]]:
    return [(event.threshold, event.crossed_by) for event in events if isinstance(event, CodeThresholdReached)]


def test_opening_balance_reports_what_it_reaches() -> None:
    assert thresholds(imported(notify_at="80%")) == [("80%", None)]


def test_import_of_an_ended_code_reports_each_threshold_once_and_time_goes_on() -> None:
    """What the past crossed is reported now: no report takes effect before the events that precede it."""
    events = imported(
        issued_at=START - timedelta(days=100), expires_at=START - timedelta(days=98), notify_at="80%, 7 days, end"
    )

    assert thresholds(events) == [("7 days", None), ("80%", None), ("end", None)]
    reports = [event for event in events if isinstance(event, CodeThresholdReached)]
    assert [(event.at, event.recorded_at, event.caused_by) for event in reports] == [
        (START, None, 1),
        (START, None, 2),
        (START, None, 2),
    ]
    assert broken_rules(events) == []


def test_import_reports_a_use_of_the_past_now() -> None:
    """Uses have times of their own, and what the import decides comes after them."""
    drafts = Scenario()
    recipient = ScenarioDraft([b"a"], drafts.new_id())
    use = ImportedUse(reservation_id=drafts.new_id(), recipient=recipient, sent_at=START - timedelta(days=50))
    events = imported([use], notify_at="20%, 80%")

    assert thresholds(events) == [("20%", use.reservation_id), ("80%", None)]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert broken_rules(events) == []


def broken_rules(events: Sequence[Event]) -> list[str]:
    """What the rule finds in the stream of a code, and at its end."""
    crossings, code = Crossings(), None
    broken: list[str] = []
    for version, event in enumerate(events, 1):
        after: RedeemCode = evolve_code(code, UUID(int=1), version, event)
        broken += crossings.find_broken_rules(code, event, after)
        code = after
    return broken + crossings.end_stream()


def log_of_one_crossing() -> list[Event]:
    """The events of a code whose second use crosses a threshold, and of another use."""
    return History("a.reserve b.reserve c.reserve", **code(5, "40%")).events


def test_log_that_reports_each_crossing_once_breaks_no_rule() -> None:
    """So `ledger verify` finds nothing."""
    assert broken_rules(log_of_one_crossing()) == []


@pytest.mark.parametrize("place", [2, 4])
def test_log_that_lacks_a_report_breaks_the_rule_at_the_end_of_the_stream(place: int) -> None:
    events = log_of_one_crossing()
    without = [event for event in events if not isinstance(event, CodeThresholdReached)]
    assert broken_rules(without) == [CROSSING_RULE]
    assert broken_rules(without[:place]) == ([CROSSING_RULE] if place > 2 else [])


@pytest.mark.parametrize("changes", [{"threshold": "50%"}, {"crossed_by": UUID(int=7)}, {"caused_by": 2}])
def test_log_that_reports_another_crossing_breaks_the_rule(changes: dict[str, object]) -> None:
    events = [
        replace(event, **changes) if isinstance(event, CodeThresholdReached) else event
        for event in log_of_one_crossing()
    ]
    assert CROSSING_RULE in broken_rules(events)


def test_log_that_reports_a_crossing_twice_breaks_the_rule() -> None:
    events = log_of_one_crossing()
    place = next(place for place, event in enumerate(events) if isinstance(event, CodeThresholdReached))
    assert broken_rules([*events[: place + 1], *events[place:]]) == [CROSSING_RULE]


def report_end(history: History) -> bool:
    """The sweep reports the end of the code; whether anything changed."""
    result = history.run(ReportCodeEnd(context=history.context("sweep"), code_id=history.code_id))
    return done(result).changed


def report_end_of_campaign(history: History) -> str:
    context, campaign_id = history.context("sweep"), history.campaign.campaign_id
    return answer(history.manage(ReportCampaignEnd(context=context, campaign_id=campaign_id)))


def test_log_whose_time_goes_back_and_reports_an_end_twice_breaks_the_rule() -> None:
    """Time alone left the threshold in between."""
    history = History("9d", **ending(8, "7 days, end"))
    report_end(history)
    *reported_once, paused = history.run_steps("pause").events
    end = reported_once[-1]

    assert broken_rules([*reported_once, paused]) == []
    back = replace(paused, at=START + timedelta(days=2))
    assert broken_rules([*reported_once, back, replace(end, caused_by=None)]) == [CROSSING_RULE]


def test_rule_holds_for_campaigns() -> None:
    history = History("a.reserve", **of_campaign(max_uses=1, notify_at="100%"))
    stream = [each.event for each in history.working_set.new_events if each.originator_id == history.campaign_id]
    crossings, campaign, broken = Crossings(), None, list[str]()
    for version, event in enumerate(stream, 1):
        after: Campaign = evolve_campaign(campaign, UUID(int=1), version, event)
        broken += crossings.find_broken_rules(campaign, event, after)
        campaign = after
    assert broken + crossings.end_stream() == []
    assert [type(event) for event in stream][-1] is CampaignThresholdReached


def test_sweep_reports_each_threshold_before_the_end_once_when_its_time_has_come() -> None:
    """Not before; and no use crossed it."""
    history = History(**ending(8, "7 days, end"))
    assert report_end(history) is False

    for days, expected in ((1, "7 days -"), (8, "7 days -, end -")):
        assert history.code.next_report_at == START + timedelta(days=days)
        history.now = START + timedelta(days=days)
        assert [report_end(history), report_end(history)] == [True, False]
        assert reported(history) == expected

    assert history.code.next_report_at is None
    assert broken_rules(history.events) == []


def test_sweep_that_was_down_reports_all_that_came_in_order() -> None:
    """The further ones follow from the first."""
    history = History("6d", **ending(8, "7 days, 3 days, end"))

    assert report_end(history) is True
    assert reported(history) == "7 days -, 3 days -"
    assert [event.caused_by for event in history.events if isinstance(event, CodeThresholdReached)] == [None, 2]
    assert broken_rules(history.events) == []


def test_use_after_the_time_leaves_the_sweep_nothing_to_report() -> None:
    assert report_end(History("2d a.reserve", **ending(8, "10%, 7 days"))) is False


def test_end_is_reported_again_only_after_it_was_moved_beyond_the_time() -> None:
    """Neither after another change, nor after a move that leaves the time in the past."""
    history = History("2d", **ending(8, "7 days"))
    report_end(history)

    change(history, max_uses=5)
    change(history, expires_at=START + timedelta(days=8, hours=12))
    assert report_end(history) is False
    change(history, expires_at=START + timedelta(days=20))
    history.passes(10 * DAY_S)
    assert report_end(history) is False
    history.passes(DAY_S)

    assert report_end(history) is True
    assert reported(history) == "7 days -, 7 days -"
    assert broken_rules(history.events) == []


def test_change_of_terms_that_brings_the_end_near_reports_it() -> None:
    """As a lower limit does."""
    history = History(**ending(80, "7 days"))
    change(history, expires_at=START + timedelta(days=5))

    assert reported(history) == "7 days -"
    assert report_end(history) is False


@pytest.mark.parametrize(
    ("terms", "steps", "is_reported"),
    [
        (ending(8, "7 days"), "revoke 9d", False),
        (code(5, "7 days, end"), "9d", False),
        # It may be resumed in time.
        (ending(8, "7 days"), "pause 9d", True),
    ],
)
def test_revoked_code_or_code_without_end_reports_no_end(terms: dict[str, Any], steps: str, is_reported: bool) -> None:
    history = History(steps, **terms)

    assert is_reported or history.code.next_report_at is None
    assert report_end(history) is is_reported


def test_campaign_reports_its_end_until_staff_end_it() -> None:
    """Without a code, although a use comes first."""
    terms = of_campaign(max_uses=4, ends_at=START + timedelta(days=8), notify_at="25%, 7 days, end")
    history = History("2d a.reserve", **terms)
    last = [event for event in history.events if isinstance(event, CampaignThresholdReached)][-1]
    assert last.code_id is None

    history.run_steps("endcampaign 7d")
    assert (report_end_of_campaign(history), history.campaign.next_report_at) == ("unchanged", None)


def test_sweep_reports_the_end_of_a_campaign_once() -> None:
    history = History("1d", **of_campaign(ends_at=START + timedelta(days=8), notify_at="7 days"))

    assert history.campaign.next_report_at == history.now
    assert [report_end_of_campaign(history), report_end_of_campaign(history)] == ["changed", "unchanged"]
    assert reported(history) == "7 days -"


def test_report_of_an_unknown_code_or_campaign_is_refused() -> None:
    history = History()
    context = history.context("sweep")

    assert answer(history.run(ReportCodeEnd(context=context, code_id=UUID(int=9)))) == "NOT_FOUND"
    report = ReportCampaignEnd(context=context, campaign_id=UUID(int=9))
    assert answer(history.manage(report)) == "CAMPAIGN_NOT_FOUND"


@pytest.mark.parametrize(
    "changes", [{"threshold": "6 days"}, {"at": START}, {"crossed_by": UUID(int=7)}, {"caused_by": 1}]
)
def test_log_with_a_wrong_report_of_an_end_breaks_the_rule(changes: dict[str, object]) -> None:
    """Of another threshold, before its time, with a use, or without its cause."""
    history = History("1d", **ending(8, "7 days"))
    report_end(history)
    issued, report = history.events

    assert CROSSING_RULE in broken_rules([issued, replace(report, **changes)])
    assert broken_rules([issued, report, report]) == [CROSSING_RULE]
