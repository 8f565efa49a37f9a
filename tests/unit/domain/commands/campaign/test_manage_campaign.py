"""A campaign is created once, changed within what its codes use already, paused, resumed and ended."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from domain.command_bus import handle
from domain.commands.campaign import manage_campaign
from domain.commands.campaign.manage_campaign import (
    ChangeCampaignTerms,
    CreateCampaign,
    EndCampaign,
    PauseCampaign,
    ResumeCampaign,
)
from domain.errors import CampaignConflict
from domain.events.campaign import CampaignEvent, CampaignTermsChanged, CampaignUseTaken
from domain.working_set import MostUses
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import START, Scenario
from tests.unit.domain.histories import Answered, Case, History, answer, cases


class FakeText(NamedTuple):
    text_id: UUID


LATER = START + timedelta(days=1)
TOO_LATE = datetime(9500, 1, 1, tzinfo=UTC)


def campaign_kinds(scenario: Scenario) -> list[str]:
    events = [recorded for recorded in scenario.working_set.new_events if recorded.originator_id == UUID(int=0xCA)]
    assert [recorded.originator_version for recorded in events] == list(range(1, len(events) + 1))
    return [type(recorded.event).__name__ for recorded in events]


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"name": ""}, "name"),
        ({"name": "li@example.com"}, "name"),
        ({"starts_at": TOO_LATE}, "starts_at"),
        ({"ends_at": TOO_LATE}, "ends_at"),
        ({"max_uses": 0}, "max_uses"),
        ({"max_per_person": 0}, "max_per_person"),
        ({"max_uses": True}, "max_uses"),
        ({"max_per_day": 0}, "max_per_day"),
        ({"code_max_uses": 0}, "code_max_uses"),
        ({"code_validity_days": 36_501}, "code_validity_days"),
        ({"allowed_domains": "Example.com"}, "allowed_domains"),
        ({"denied_domains": "li@example.com"}, "denied_domains"),
        ({"starts_at": LATER, "ends_at": LATER}, "end_before_start"),
        ({"starts_at": LATER, "ends_at": START}, "end_before_start"),
        ({"ends_at": START}, "end_in_past"),
        ({"max_uses": 2, "max_per_person": 3}, "person_above_total"),
        ({"max_uses": 2, "max_per_day": 3}, "day_above_total"),
        ({"allowed_domains": "example.com", "denied_domains": "example.com"}, "domains_overlap"),
    ],
)
def test_terms_that_no_campaign_can_have_are_refused_by_name(terms: dict[str, Any], reason: str) -> None:
    scenario = Scenario()
    command = CreateCampaign(
        context=scenario.context("staff"), campaign_id=UUID(int=0xCA), terms=make_campaign_terms(**terms)
    )
    existing = Scenario(campaign=make_campaign_terms(max_uses=9))

    assert answer(handle(command, scenario.working_set, scenario.policy)) == f"CAMPAIGN_TERMS_INVALID/{reason}"
    assert answer(existing.change_campaign(**terms)) == f"CAMPAIGN_TERMS_INVALID/{reason}"
    assert campaign_kinds(scenario) == []
    assert campaign_kinds(existing) == ["CampaignCreated"]


@pytest.mark.parametrize(
    "terms",
    [
        {"max_uses": 2, "max_per_person": 2, "max_per_day": 2},
        {"max_per_person": 2, "max_per_day": 1},
        {"max_uses": 1, "code_max_uses": 2, "code_validity_days": 36_500},
        {"max_uses": 1},
        {"max_per_person": 1},
        {"starts_at": START, "ends_at": LATER},
        {"allowed_domains": "*.example.com", "denied_domains": "shop.example.com"},
    ],
)
def test_terms_at_the_edge_of_what_is_allowed_are_accepted(terms: dict[str, Any]) -> None:
    scenario = Scenario(campaign=make_campaign_terms(**terms))

    assert scenario.campaign.terms == make_campaign_terms(**terms)
    assert campaign_kinds(scenario) == ["CampaignCreated"]


def test_ended_campaign_gets_no_new_codes() -> None:
    """They could never be redeemed."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=5))
    scenario.end_campaign()

    with pytest.raises(AssertionError, match="CAMPAIGN_ENDED"):
        scenario.issue(b"other")


@pytest.mark.parametrize("kind", [PauseCampaign, ResumeCampaign, EndCampaign])
def test_unknown_campaign_is_not_found(kind: type[PauseCampaign | ResumeCampaign | EndCampaign]) -> None:
    scenario = Scenario()
    context, unknown = scenario.context("staff"), UUID(int=1)
    commands = [
        kind(context=context, campaign_id=unknown),
        ChangeCampaignTerms(context=context, campaign_id=unknown, changes={"max_uses": 2}),
    ]

    for command in commands:
        assert answer(handle(command, scenario.working_set, scenario.policy)) == "CAMPAIGN_NOT_FOUND"
    assert scenario.kinds == []


def test_time_of_a_campaign_never_goes_back() -> None:
    scenario = Scenario(campaign=make_campaign_terms())
    scenario.passes(-60)
    scenario.pause_campaign()
    event = scenario.working_set.new_events[-1].event

    assert (event.at, event.recorded_at) == (START, START - timedelta(seconds=60))


CONFLICT = "CAMPAIGN_CONFLICT"
OPEN: dict[str, Any] = {"max_uses": 9, "bound": False}
TWO, THREE = "60s reserve 60s wang.reserve", "60s reserve 60s wang.reserve 60s zhao.reserve"


def limits(**terms: object) -> dict[str, Any]:
    """An open code with many uses, in a campaign with such limits."""
    return {**OPEN, "campaign": make_campaign_terms(**terms)}


@cases(
    pause_and_resume_are_recorded_once_each=Case(
        "resumecampaign=unchanged pausecampaign=changed pausecampaign=unchanged resumecampaign=changed",
        kinds="CodeIssued CampaignPaused CampaignResumed",
        campaign={"is_paused": False},
        terms=limits(),
    ),
    paused_campaign_is_shown_as_such=Case("pausecampaign", campaign={"is_paused": True}, terms=limits()),
    ended_campaign_stays_ended_and_takes_no_other_command=Case(
        "endcampaign=changed endcampaign=unchanged pausecampaign=CAMPAIGN_CONFLICT/ended"
        " resumecampaign=CAMPAIGN_CONFLICT/ended set:max_uses:6=CAMPAIGN_CONFLICT/ended",
        kinds="CodeIssued CampaignEnded",
        campaign={"ended_by": 2},
        terms=limits(max_uses=5),
    ),
    # A reserved use counts like a sent one.
    limit_can_fall_to_the_uses_that_are_occupied_and_no_further=Case(
        f"deliver wang.reserve set:max_uses:1={CONFLICT}/max_uses set:max_uses:2=changed",
        campaign={"available": 0},
        terms=limits(max_uses=5),
    ),
    # Those of the day before do not count.
    limit_per_day_can_fall_to_the_uses_of_the_day=Case(
        f"reserve wang.reserve set:max_per_day:1={CONFLICT}/max_per_day set:max_per_day:2=changed 1d"
        " set:max_per_day:1=changed",
        terms=limits(max_per_day=5),
    ),
    # Uses are counted in between.
    shared_limit_can_be_lifted_and_set_again=Case(
        f"set:max_uses:none=changed reserve wang.reserve set:max_uses:1={CONFLICT}/max_uses set:max_uses:2=changed",
        campaign={"available": 0},
        terms=limits(max_uses=1),
    ),
    lifted_limit_leaves_no_number=Case(
        "set:max_uses:none reserve wang.reserve", campaign={"available": None}, terms=limits(max_uses=1)
    ),
    limit_below_earlier_uses_needs_the_choice=Case(
        f"{THREE} set:max_uses:2:max_per_day:1={CONFLICT}/max_uses setall:max_uses:2:max_per_day:2=changed",
        campaign={"occupied": 3, "available": -1},
        terms=limits(),
    ),
    # Those over it stay, and only refunds make room again.
    limit_below_earlier_uses_takes_none_of_them=Case(
        f"{THREE} setall:max_uses:2:max_per_day:2 qian.redeem=CAMPAIGN_HELD refund qian.redeem=CAMPAIGN_HELD"
        " wang.refund qian.redeem=changed",
        terms=limits(),
    ),
    # A campaign over its limit can be renamed; a limit that changes is compared with the uses again.
    uses_over_a_limit_bar_no_change_of_other_terms=Case(
        f"{THREE} setall:max_uses:2=changed set:name:Winter=changed set:max_per_person:1=changed"
        f" set:max_uses:1={CONFLICT}/max_uses",
        terms=limits(),
    ),
    # It counts all of them already, so none is counted again.
    counting_campaign_may_get_a_limit_below_its_uses_by_choice=Case(
        "reserve wang.reserve setall:max_uses:1=changed setall:max_uses:1=unchanged",
        kinds="CodeIssued UseReserved CampaignUseTaken UseReserved CampaignUseTaken CampaignTermsChanged",
        campaign={"occupied": 2, "available": -1},
        terms=limits(max_uses=5),
    ),
    limit_from_now_on_counts_no_earlier_use=Case(
        f"{TWO} setnew:max_uses:1:max_per_person:1=changed",
        ends="CampaignTermsChanged",
        campaign={"occupied": 0, "available": 1},
        last={"counting": "from_now"},
        terms=limits(),
    ),
    refund_of_an_earlier_use_frees_no_place=Case(
        f"{TWO} setnew:max_uses:1:max_per_person:1 refund",
        campaign={"occupied": 0, "available": 1},
        terms=limits(),
    ),
    limit_from_now_on_holds_for_later_uses=Case(
        f"{TWO} setnew:max_uses:1:max_per_person:1 refund qian.reserve zhao.redeem=CAMPAIGN_HELD", terms=limits()
    ),
    # From now on, twice, then all; each choice begins a new count.
    choice_begins_a_new_count=Case(
        "60s reserve setnew:max_uses:3=changed wang.reserve", campaign={"occupied": 1, "available": 2}, terms=limits()
    ),
    repeated_choice_begins_a_new_count=Case(
        "60s reserve setnew:max_uses:3 wang.reserve setnew=changed",
        campaign={"occupied": 0, "available": 3},
        terms=limits(),
    ),
    other_choice_counts_all_uses_again=Case(
        "60s reserve setnew:max_uses:3 wang.reserve setnew zhao.reserve setall:max_uses:4=changed",
        campaign={"occupied": 3, "available": 1, "counts_from": None},
        terms=limits(),
    ),
)
def test_command_about_a_campaign_leads_to(case: Case) -> None:
    case.check()


@pytest.mark.parametrize(
    ("steps", "occupied", "left", "left_today"),
    [
        (f"{TWO} set:max_uses:3:max_per_day:3=changed", 2, 1, 1),
        (f"{THREE} setall:max_uses:2:max_per_day:2=changed", 3, -1, -1),
        # One of yesterday, one of today.
        ("deliver 1d wang.reserve set:max_per_day:2:max_per_person:1=changed", 2, None, 1),
    ],
)
def test_limit_that_starts_later_counts_all_uses(steps: str, occupied: int, left: int | None, left_today: int) -> None:
    history = History(steps, **limits())
    campaign = history.campaign

    assert (campaign.occupied, campaign.available) == (occupied, left)
    assert campaign.find_available_on_day(history.now) == left_today
    assert (campaign.state(history.now) == "full") == (left == -1)


def test_limit_that_starts_later_names_the_uses_that_it_counts() -> None:
    """The event says the choice, and one for each use follows it; no event has a sum."""
    history = History(f"{TWO} set:max_uses:3:max_per_day:3", **limits())

    terms, *uses = [event for event in history.events if isinstance(event, CampaignEvent)][1:]
    assert isinstance(terms, CampaignTermsChanged)
    assert (terms.counting, terms.max_uses) == ("all", 3)
    assert [(type(use).__name__, use.at) for use in uses] == [("CampaignUseTaken", terms.at)] * 2
    assert [use.reserved_at for use in uses if isinstance(use, CampaignUseTaken)] == [
        START + timedelta(seconds=seconds) for seconds in (60, 120)
    ]
    history.run_steps("zhao.reserve qian.redeem=CAMPAIGN_HELD")


def test_earlier_uses_count_by_person_and_by_day() -> None:
    steps = "deliver>first 1d wang.reserve set:max_per_day:2:max_per_person:1 redeem:first=PERSON_LIMIT"
    History(f"{steps} qian.reserve zhao.redeem=CAMPAIGN_DAY_LIMIT", **limits())


def test_request_that_waited_is_counted_from_now_on() -> None:
    """Its time is that of the count at the earliest, although it asked before."""
    history = History("setnew:max_uses:1=changed -30s reserve", **limits())
    terms = history.events[2]

    assert isinstance(terms, CampaignTermsChanged)
    assert history.of().reserved_at == history.campaign.counts_from == terms.at
    assert (history.campaign.occupied, history.campaign.available) == (1, 0)


@pytest.mark.parametrize(
    ("max_per_person", "steps"),
    [
        (5, f"set:max_per_person:2={CONFLICT}/max_per_person set:max_per_person:3=changed"),
        (3, f"set:person_rule:mailbox={CONFLICT}/max_per_person set:person_rule:mailbox:max_per_person:4=changed"),
        (4, f"set:person_rule:mailbox=changed set:max_per_person:3={CONFLICT}/max_per_person"),
        (4, "set:person_rule:mailbox=changed set:person_rule:none:max_per_person:3=changed"),
    ],
)
def test_most_uses_of_one_person_or_mailbox_bound_the_limit_per_person(max_per_person: int, steps: str) -> None:
    """The store counts them, under the lock of the campaign; one mailbox has the uses of several addresses."""
    history = History(campaign=make_campaign_terms(max_per_person=max_per_person))
    history.working_set.most_per_person[UUID(int=0xCA)] = MostUses(3, 4)

    history.run_steps(steps)


def test_no_campaign_counts_by_mailbox_while_mailboxes_are_unknown() -> None:
    """Neither a new one nor one that exists; one that counts so already is changed all the same."""
    history = History(campaign=make_campaign_terms(max_per_person=3))
    terms = make_campaign_terms(person_rule="mailbox")
    create = CreateCampaign(context=history.context("staff"), campaign_id=UUID(int=1), terms=terms)

    history.working_set.lacks_mailboxes = True
    assert answer(handle(create, history.working_set, history.policy)) == f"{CONFLICT}/no_mailboxes"
    history.run_steps(f"set:person_rule:mailbox={CONFLICT}/no_mailboxes")
    history.working_set.lacks_mailboxes = False
    history.run_steps("set:person_rule:mailbox=changed")
    history.working_set.lacks_mailboxes = True
    history.run_steps("set:max_per_person:4=changed")


def test_every_limit_that_would_be_below_its_uses_is_named_with_their_number() -> None:
    """In one refusal; limits that leave room are not in it."""
    history = History("reserve wang.reserve zhao.reserve", **limits(max_uses=9, max_per_person=5, max_per_day=5))
    history.working_set.most_per_person[UUID(int=0xCA)] = MostUses(2, 2)

    all_three = history.change_campaign(max_uses=2, max_per_person=1, max_per_day=2)
    two = history.change_campaign(max_uses=3, max_per_person=1, max_per_day=1)

    assert [result.facts.get("in_use") for result in (all_three, two) if isinstance(result, CampaignConflict)] == [
        {"max_uses": 3, "max_per_person": 2, "max_per_day": 3},
        {"max_per_person": 2, "max_per_day": 3},
    ]
    history.run_steps("set:max_uses:3:max_per_person:2:max_per_day:3=changed")


def test_more_uses_than_one_commit_counts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting from now on needs none of them."""
    monkeypatch.setattr(manage_campaign, "EXISTING_USES_MAX", 1)

    History(f"{TWO} set:max_uses:5={CONFLICT}/too_many_uses setnew:max_uses:5=changed", **limits())


def test_end_that_has_passed_does_not_bar_a_change_of_other_terms() -> None:
    """Only a new end must lie ahead."""
    history = History("86460s set:name:Winter=changed", campaign=make_campaign_terms(ends_at=LATER))

    late = history.change_campaign(ends_at=LATER + timedelta(seconds=1))
    assert answer(late) == "CAMPAIGN_TERMS_INVALID/end_in_past"
    assert answer(history.change_campaign(ends_at=history.now + timedelta(seconds=1))) == "changed"
    assert history.campaign.terms.name == "Winter"


def test_choice_without_a_limit_is_refused() -> None:
    """There is nothing to count for; other terms need no choice."""
    scenario = Scenario(**limits())

    assert answer(scenario.change_campaign("all", ends_at=LATER)) == f"{CONFLICT}/uncounted"
    assert answer(scenario.change_campaign(ends_at=LATER)) == "changed"
    assert not scenario.campaign.counts_uses


def change(scenario: Scenario, **fields: Any) -> Answered:
    context = scenario.context("staff")
    return scenario.manage(ChangeCampaignTerms(context=context, campaign_id=UUID(int=0xCA), **fields))


def test_campaign_is_created_once_however_often_the_command_comes() -> None:
    """A lost answer makes a client repeat it."""
    terms = make_campaign_terms(max_uses=5)
    scenario = Scenario(campaign=terms)

    assert answer(scenario.create_campaign(terms)) == "unchanged"
    assert campaign_kinds(scenario) == ["CampaignCreated"]
    assert scenario.campaign.terms == terms
    assert scenario.campaign.created_at == scenario.campaign.last_at == START


def test_change_records_all_terms_and_repeating_it_records_nothing() -> None:
    """So the event can be read alone."""
    history = History(
        "set:max_uses:7=changed set:max_uses:7=unchanged", campaign=make_campaign_terms(max_uses=5, group="blue")
    )
    event = history.events[-1]

    assert isinstance(event, CampaignTermsChanged)
    assert event.terms == history.campaign.terms == make_campaign_terms(max_uses=7, group="blue")
    assert (event.actor, event.recorded_at) == ("staff", None)


def test_change_is_made_only_as_long_as_the_terms_are_the_expected_ones() -> None:
    """Another change in between is not overwritten."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=5))
    seen = scenario.campaign.terms

    results = [change(scenario, changes={"max_uses": 7}, expected=seen) for _ in range(2)]

    assert [answer(result) for result in results] == ["changed", "TERMS_CHANGED"]
    assert scenario.campaign.terms.max_uses == 7


@pytest.mark.parametrize("kind", [PauseCampaign, EndCampaign])
def test_reason_is_kept_if_the_event_names_it(kind: type[PauseCampaign | EndCampaign]) -> None:
    """A command that changes nothing leaves no text."""
    scenario = Scenario(campaign=make_campaign_terms())
    notes = [FakeText(UUID(int=8)), FakeText(UUID(int=9))]
    for note in notes:
        scenario.manage(kind(context=scenario.context("staff"), campaign_id=UUID(int=0xCA), note=note))

    assert scenario.working_set.writes.texts == notes[:1]
    assert getattr(scenario.events[-1], "text_id", None) == UUID(int=8)


def test_reason_of_a_change_is_kept() -> None:
    scenario, text = Scenario(**limits()), FakeText(UUID(int=0x7E))

    assert answer(change(scenario, changes={"ends_at": LATER}, note=text)) == "changed"
    assert getattr(scenario.events[-1], "text_id", None) == text.text_id
    assert scenario.working_set.writes.texts == [text]


def test_change_of_a_term_that_does_not_exist_cannot_be_made() -> None:
    """A misspelt name would otherwise change nothing."""
    with pytest.raises(ValueError, match=r"^not a term of a campaign: end_at, max_use$"):
        Scenario(campaign=make_campaign_terms()).change_campaign(max_use=3, end_at=None)


def test_group_that_no_event_may_name_cannot_be_set() -> None:
    """Events keep names of groups permanently."""
    scenario = Scenario(campaign=make_campaign_terms())

    with pytest.raises(ValueError, match="group"):
        scenario.change_campaign(group="li@example.com")
    with pytest.raises(ValueError, match="group"):
        scenario.create_campaign(make_campaign_terms(group="li@example.com"))
