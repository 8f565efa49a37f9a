"""Each crossing of a threshold is one event, in the commit of what crossed it and with its use."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.commands.campaign.manage_campaign import ReportCampaignEnd
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode, ImportedUse, Opening
from domain.commands.code.pause import PauseCode
from domain.commands.code.report_end import ReportCodeEnd
from domain.errors import NoSuchCampaign, NoSuchCode, Refusal
from domain.events.campaign import CampaignThresholdReached
from domain.events.code import CodeThresholdReached
from domain.events.event import Event
from domain.events.reservation import UseReserved
from domain.model.campaign import Campaign, evolve_campaign
from domain.model.crossings import CROSSING_RULE, Crossings
from domain.model.redeem_code import RedeemCode, evolve_code
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.scenario import REFUSED, START, Scenario, ScenarioDraft, done

Reported = list[tuple[str, UUID | None]]


def open_code(max_uses: int | None = 5, notify_at: str | None = "80%, 100%") -> Scenario:
    return Scenario(bound=False, max_uses=max_uses, notify_at=notify_at)


def reported(scenario: Scenario) -> Reported:
    """The thresholds of codes that were reported, in order, with the reservations that crossed them."""
    return reported_in(scenario.events)


def reported_in(events: Sequence[Event]) -> Reported:
    return [(event.threshold, event.crossed_by) for event in events if isinstance(event, CodeThresholdReached)]


def reported_of_campaign(scenario: Scenario) -> Reported:
    crossings = [event for event in scenario.events if isinstance(event, CampaignThresholdReached)]
    return [(event.threshold, event.crossed_by) for event in crossings]


def redeemed(scenario: Scenario, *people: str) -> list[UUID]:
    return [scenario.reserved(person) for person in people]


def test_use_that_crosses_a_threshold_is_named_by_an_event_after_it() -> None:
    scenario = open_code()
    *_, fourth, fifth = redeemed(scenario, "a", "b", "c", "d", "e")

    assert reported(scenario) == [("80%", fourth), ("100%", fifth)]
    first = next(recorded for recorded in scenario.working_set.new_events if recorded.event.caused_by is not None)
    use = scenario.working_set.new_events[first.originator_version - 2].event
    assert isinstance(use, UseReserved)
    assert (first.event.caused_by, first.event.at) == (first.originator_version - 1, use.at)
    assert first.event.actor == use.actor == "person"


def test_one_use_crosses_several_thresholds() -> None:
    scenario = open_code(1, "50%, 100%, 0 left")
    (use,) = redeemed(scenario, "a")

    assert reported(scenario) == [("50%", use), ("100%", use), ("0 left", use)]


def test_sent_invitation_crosses_nothing_because_its_use_was_reserved() -> None:
    """What is reserved may no longer be redeemed by others."""
    scenario = open_code(1, "100%")
    use = scenario.sent("a")

    assert reported(scenario) == [("100%", use)]


def test_threshold_is_reported_again_only_after_the_uses_fell_below_it() -> None:
    scenario = open_code(3, "60%")
    first, second, third = redeemed(scenario, "a", "b", "c")
    scenario.refund(third)
    assert reported(scenario) == [("60%", second)]

    fourth = scenario.reserved("d")
    scenario.refund(fourth, request_id="r2")
    scenario.refund(first, request_id="r3")
    fifth = scenario.reserved("e")

    assert reported(scenario) == [("60%", second), ("60%", fifth)]


def test_refund_of_an_overdue_use_and_the_next_use_in_one_commit_cross_again() -> None:
    """The log shows the uses below the threshold in between."""
    scenario = open_code(1, "100%")
    (first,) = redeemed(scenario, "a")
    scenario.passes(scenario.policy.reservation_ttl_s + 1)
    (second,) = redeemed(scenario, "b")

    assert reported(scenario) == [("100%", first), ("100%", second)]


def test_failed_invitation_releases_its_use_and_reports_nothing() -> None:
    scenario = open_code(1, "100%")
    (first,) = redeemed(scenario, "a")
    scenario.attempt(first, REFUSED)

    assert scenario.balance == (0, 0)
    assert reported(scenario) == [("100%", first)]


def test_code_without_thresholds_or_limit_reports_nothing() -> None:
    for scenario in (open_code(2, None), open_code(None, "80%")):
        redeemed(scenario, "a", "b")
        assert reported(scenario) == []


def change(scenario: Scenario, **changes: object) -> None:
    done(scenario.run(ChangeTerms(context=scenario.context("staff", "s1"), code_id=scenario.code_id, changes=changes)))


def test_change_of_terms_that_reaches_a_threshold_reports_it_without_a_use() -> None:
    scenario = open_code(4, "100%")
    redeemed(scenario, "a", "b")

    change(scenario, max_uses=2)
    change(scenario, notify_at="50%, 100%")
    change(scenario, max_uses=4)
    change(scenario, max_uses=3)
    (third,) = redeemed(scenario, "c")

    assert reported(scenario) == [("100%", None), ("50%", None), ("100%", third)]


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


def test_opening_balance_reports_what_it_reaches() -> None:
    assert reported_in(imported(notify_at="80%")) == [("80%", None)]


def test_import_of_an_ended_code_reports_each_threshold_once_and_time_goes_on() -> None:
    """What the past crossed is reported now: no report takes effect before the events that precede it."""
    events = imported(
        issued_at=START - timedelta(days=100), expires_at=START - timedelta(days=98), notify_at="80%, 7 days, end"
    )

    assert reported_in(events) == [("7 days", None), ("80%", None), ("end", None)]
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

    assert reported_in(events) == [("20%", use.reservation_id), ("80%", None)]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert broken_rules(events) == []


def test_campaign_reports_the_use_of_any_of_its_codes() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=2, notify_at="100%"), max_uses=9, bound=False)
    other = scenario.issue(b"other", max_uses=9, bound=False)
    first = scenario.reserved("a")
    second = done(scenario.redeem("b", code=b"other")).require_reservation().reservation_id
    scenario.refund(first)
    third = scenario.reserved("c")

    crossings = [event for event in scenario.events if isinstance(event, CampaignThresholdReached)]
    assert reported_of_campaign(scenario) == [("100%", second), ("100%", third)]
    assert [event.code_id for event in crossings] == [other, scenario.code_id]


def test_change_of_a_campaign_reports_without_a_code() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=4, notify_at="100%"), max_uses=9, bound=False)
    redeemed(scenario, "a", "b")
    scenario.change_campaign(max_uses=2)

    assert reported_of_campaign(scenario) == [("100%", None)]


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
    scenario = open_code(5, "40%")
    redeemed(scenario, "a", "b", "c")
    return scenario.events


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


def test_log_whose_time_goes_back_and_reports_an_end_twice_breaks_the_rule() -> None:
    """Time alone left the threshold in between."""
    scenario = ending_code(8, "7 days, end")
    scenario.passes(9 * DAY_S)
    report_end(scenario)
    scenario.pause()
    *reported_once, paused = scenario.events
    end = reported_once[-1]

    assert broken_rules([*reported_once, paused]) == []
    back = replace(paused, at=START + timedelta(days=2))
    assert broken_rules([*reported_once, back, replace(end, caused_by=None)]) == [CROSSING_RULE]


def test_rule_holds_for_campaigns() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=1, notify_at="100%"), max_uses=9, bound=False)
    redeemed(scenario, "a")
    stream = [each.event for each in scenario.working_set.new_events if each.originator_id == scenario.campaign_id]
    crossings, campaign, broken = Crossings(), None, list[str]()
    for version, event in enumerate(stream, 1):
        after: Campaign = evolve_campaign(campaign, UUID(int=1), version, event)
        broken += crossings.find_broken_rules(campaign, event, after)
        campaign = after
    assert broken + crossings.end_stream() == []
    assert [type(event) for event in stream][-1] is CampaignThresholdReached


DAY_S = 86_400


def ending_code(days: float, notify_at: str) -> Scenario:
    return Scenario(bound=False, max_uses=9, expires_at=START + timedelta(days=days), notify_at=notify_at)


def report_end(scenario: Scenario) -> bool:
    result = scenario.run(ReportCodeEnd(context=scenario.context("sweep"), code_id=scenario.code_id))
    return done(result).changed


def next_report(scenario: Scenario) -> datetime | None:
    return scenario.code.next_report_at


def report_end_of_campaign(scenario: Scenario) -> bool:
    report = ReportCampaignEnd(context=scenario.context("sweep"), campaign_id=scenario.campaign.campaign_id)
    result = scenario.manage(report)
    assert not isinstance(result, Refusal)
    return result.changed


def test_sweep_reports_each_threshold_before_the_end_once_when_its_time_has_come() -> None:
    scenario = ending_code(8, "7 days, end")
    assert report_end(scenario) is False
    assert next_report(scenario) == START + timedelta(days=1)

    scenario.passes(DAY_S)
    assert [report_end(scenario), report_end(scenario)] == [True, False]
    assert reported(scenario) == [("7 days", None)]
    assert next_report(scenario) == START + timedelta(days=8)

    scenario.passes(7 * DAY_S)
    assert [report_end(scenario), report_end(scenario)] == [True, False]
    assert reported(scenario) == [("7 days", None), ("end", None)]
    assert next_report(scenario) is None
    assert broken_rules(scenario.events) == []


def test_sweep_that_was_down_reports_all_that_came_in_order() -> None:
    scenario = ending_code(8, "7 days, 3 days, end")
    scenario.passes(6 * DAY_S)

    assert report_end(scenario) is True
    assert reported(scenario) == [("7 days", None), ("3 days", None)]
    assert [event.caused_by for event in scenario.events if isinstance(event, CodeThresholdReached)] == [None, 2]
    assert broken_rules(scenario.events) == []


def test_use_after_the_time_reports_it_without_being_named() -> None:
    """A redeem that comes before the sweep: its use crossed one threshold, and time another."""
    scenario = ending_code(8, "10%, 7 days")
    scenario.passes(2 * DAY_S)
    (use,) = redeemed(scenario, "a")

    assert reported(scenario) == [("10%", use), ("7 days", None)]
    assert report_end(scenario) is False
    assert broken_rules(scenario.events) == []


def test_end_is_reported_again_only_after_it_was_moved_beyond_the_time() -> None:
    scenario = ending_code(8, "7 days")
    scenario.passes(2 * DAY_S)
    report_end(scenario)

    change(scenario, max_uses=5)
    change(scenario, expires_at=START + timedelta(days=8, hours=12))
    assert report_end(scenario) is False
    change(scenario, expires_at=START + timedelta(days=20))
    scenario.passes(10 * DAY_S)
    assert report_end(scenario) is False
    scenario.passes(DAY_S)

    assert report_end(scenario) is True
    assert reported(scenario) == [("7 days", None)] * 2
    assert broken_rules(scenario.events) == []


def test_change_of_terms_that_brings_the_end_near_reports_it() -> None:
    """As a lower limit does; a code that is issued so near its end, too."""
    scenario = ending_code(80, "7 days")
    change(scenario, expires_at=START + timedelta(days=5))

    assert reported(scenario) == reported(ending_code(5, "7 days")) == [("7 days", None)]
    assert report_end(scenario) is False


def test_revoked_code_or_code_without_end_reports_no_end() -> None:
    """A paused one does: it may be resumed in time."""
    revoked, endless, paused = ending_code(8, "7 days"), open_code(5, "7 days, end"), ending_code(8, "7 days")
    revoked.revoke()
    done(paused.run(PauseCode(context=paused.context("staff"), code_id=paused.code_id)))
    for scenario in (revoked, endless, paused):
        scenario.passes(9 * DAY_S)

    assert [report_end(scenario) for scenario in (revoked, endless, paused)] == [False, False, True]
    assert [next_report(scenario) for scenario in (revoked, endless)] == [None, None]


def test_campaign_reports_its_end_until_staff_end_it() -> None:
    terms = make_campaign_terms(max_uses=4, ends_at=START + timedelta(days=8), notify_at="25%, 7 days, end")
    scenario = Scenario(campaign=terms, max_uses=9, bound=False)
    scenario.passes(2 * DAY_S)
    (use,) = redeemed(scenario, "a")
    assert reported_of_campaign(scenario) == [("25%", use), ("7 days", None)]
    last = [event for event in scenario.events if isinstance(event, CampaignThresholdReached)][-1]
    assert last.code_id is None

    scenario.end_campaign()
    scenario.passes(7 * DAY_S)
    assert (report_end_of_campaign(scenario), scenario.campaign.next_report_at) == (False, None)


def test_sweep_reports_the_end_of_a_campaign_once() -> None:
    terms = make_campaign_terms(ends_at=START + timedelta(days=8), notify_at="7 days")
    scenario = Scenario(campaign=terms, max_uses=9, bound=False)
    scenario.passes(DAY_S)

    assert scenario.campaign.next_report_at == scenario.now
    assert [report_end_of_campaign(scenario), report_end_of_campaign(scenario)] == [True, False]
    assert reported_of_campaign(scenario) == [("7 days", None)]


def test_report_of_an_unknown_code_or_campaign_is_refused() -> None:
    scenario = open_code()
    report = ReportCodeEnd(context=scenario.context("sweep"), code_id=UUID(int=9))
    assert isinstance(scenario.run(report), NoSuchCode)
    of_campaign = ReportCampaignEnd(context=scenario.context("sweep"), campaign_id=UUID(int=9))
    assert isinstance(scenario.manage(of_campaign), NoSuchCampaign)


@pytest.mark.parametrize(
    ("place", "changes"),
    [(1, {"threshold": "6 days"}), (1, {"at": START}), (1, {"crossed_by": UUID(int=7)}), (1, {"caused_by": 1})],
)
def test_log_with_a_wrong_report_of_an_end_breaks_the_rule(place: int, changes: dict[str, object]) -> None:
    scenario = ending_code(8, "7 days")
    scenario.passes(DAY_S)
    report_end(scenario)
    events = [replace(event, **changes) if n == place else event for n, event in enumerate(scenario.events)]

    assert CROSSING_RULE in broken_rules(events)
    assert broken_rules([*scenario.events, scenario.events[-1]]) == [CROSSING_RULE]
