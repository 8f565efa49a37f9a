"""The state of a campaign, and the rules that its stream keeps."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.events.campaign import (
    CampaignCreated,
    CampaignEnded,
    CampaignEvent,
    CampaignPaused,
    CampaignResumed,
    CampaignTermsChanged,
    CampaignUseEvent,
    CampaignUseReturned,
    CampaignUseTaken,
    Counting,
)
from domain.events.code import CodePaused
from domain.model.campaign import (
    ALTERNATION_RULE,
    DAY_COUNT_RULE,
    PERSON_LIMIT_RULE,
    Campaign,
    OccupiedUses,
    evolve_campaign,
    find_broken_campaign_rules,
)
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import START, Scenario

CAMPAIGN_ID, LI, WANG = UUID(int=0xCA), UUID(int=1), UUID(int=2)


def created(**terms: Any) -> CampaignCreated:
    return CampaignCreated(at=START, actor="staff", **{"name": "Autumn", **terms})


def use(kind: type[CampaignUseTaken | CampaignUseReturned], person: UUID, number: int) -> CampaignEvent:
    return kind(at=START, actor="person", code_id=UUID(int=7), reservation_id=UUID(int=number), recipient_id=person)


def take_use(person: UUID, number: int) -> CampaignEvent:
    return use(CampaignUseTaken, person, number)


def return_use(person: UUID, number: int) -> CampaignEvent:
    return use(CampaignUseReturned, person, number)


def fold(*events: CampaignEvent) -> Campaign:
    campaign: Campaign | None = None
    for version, event in enumerate(events, start=1):
        campaign = evolve_campaign(campaign, CAMPAIGN_ID, version, event)
    assert campaign is not None
    return campaign


def broken_rules(*events: CampaignEvent) -> list[str]:
    before = fold(*events[:-1]) if events[:-1] else None
    return find_broken_campaign_rules(before, events[-1], fold(*events))


def test_uses_are_occupied_until_they_are_returned() -> None:
    campaign = fold(created(max_uses=2), take_use(LI, 1), take_use(WANG, 2), return_use(LI, 1))

    assert (campaign.version, campaign.occupied, campaign.available) == (4, 1, 1)
    assert campaign.counts_uses


@pytest.mark.parametrize(
    ("terms", "counts"),
    [
        ({}, False),
        ({"max_uses": 1}, True),
        ({"max_per_person": 1}, True),
        ({"max_per_day": 1}, True),
        ({"ends_at": START}, False),
    ],
)
def test_campaign_counts_its_uses_if_it_begins_with_a_shared_limit(terms: dict[str, Any], counts: bool) -> None:
    assert fold(created(**terms)).counts_uses is counts


def test_every_event_moves_version_and_time_on() -> None:
    kinds = [
        CampaignPaused,
        CampaignResumed,
        CampaignUseTaken,
        CampaignUseReturned,
        CampaignTermsChanged,
        CampaignEnded,
    ]
    use = {"code_id": UUID(int=7), "reservation_id": UUID(int=1), "recipient_id": LI}
    campaign = fold(created(max_uses=2))
    for number, kind in enumerate(kinds, start=2):
        at = START + timedelta(seconds=number)
        facts = use if issubclass(kind, CampaignUseEvent) else {}
        named = {"name": "Winter", "max_uses": 2} if kind is CampaignTermsChanged else {}
        campaign = evolve_campaign(campaign, CAMPAIGN_ID, number, kind(at=at, actor="staff", **facts, **named))
        assert (campaign.version, campaign.last_at) == (number, at), kind

    assert (campaign.created_at, campaign.terms.name, campaign.ended_by) == (START, "Winter", 7)


def test_state_is_the_first_reason_to_refuse_everyone() -> None:
    scenario = Scenario(
        campaign=make_campaign_terms(starts_at=START + timedelta(1), ends_at=START + timedelta(2), max_uses=1)
    )
    states = [scenario.campaign.state(START + timedelta(days)) for days in (0, 1, 2)]
    scenario.pause_campaign()
    states.append(scenario.campaign.state(START + timedelta(1)))
    scenario.resume_campaign()
    scenario.passes(86_400)
    scenario.reserved()
    states.append(scenario.campaign.state(scenario.now))
    scenario.end_campaign()
    states.append(scenario.campaign.state(START))

    assert states == ["not_started", "active", "expired", "paused", "full", "ended"]


def test_stream_of_a_campaign_begins_with_its_creation() -> None:
    pause = CampaignPaused(at=START, actor="staff")
    with pytest.raises(TypeError, match="CampaignPaused can't begin"):
        evolve_campaign(None, CAMPAIGN_ID, 1, pause)
    with pytest.raises(TypeError, match="no fold for CampaignCreated"):
        fold(created(), created())
    with pytest.raises(TypeError, match="no fold for CodePaused"):
        evolve_campaign(fold(created()), CAMPAIGN_ID, 2, CodePaused(at=START, actor="staff"))


def test_limit_of_a_campaign_is_kept_at_every_event() -> None:
    limit_rule = "invariant 12: no use of a campaign is taken beyond its limit"

    assert broken_rules(created(max_uses=1), take_use(LI, 1)) == []
    assert broken_rules(created(max_uses=1), take_use(LI, 1), take_use(WANG, 2)) == [limit_rule]
    assert broken_rules(created(max_uses=1), return_use(LI, 1)) == [limit_rule]
    assert broken_rules(created(max_per_person=1), take_use(LI, 1)) == []


def limit_later(counting: Counting, **limits: Any) -> CampaignTermsChanged:
    return CampaignTermsChanged(at=START, actor="staff", name="Autumn", counting=counting, **limits)


def earlier_use(person: UUID, number: int, reserved_at: datetime = START) -> CampaignEvent:
    return replace(take_use(person, number), reserved_at=reserved_at)


def test_earlier_uses_may_be_above_a_limit_and_new_ones_may_not() -> None:
    limits = {"max_uses": 1, "max_per_person": 1, "max_per_day": 1}
    beyond = [created(), limit_later("all", **limits), earlier_use(LI, 1), earlier_use(LI, 2)]

    assert broken_rules(*beyond) == []
    assert broken_rules(*beyond, return_use(LI, 1)) == []
    assert broken_rules(*beyond, take_use(LI, 3)) == [
        "invariant 12: no use of a campaign is taken beyond its limit",
        "invariant 12: no use of a day is taken beyond the campaign's limit",
    ]
    assert track(*beyond, take_use(LI, 3))[0] == [[], [], [], [], [PERSON_LIMIT_RULE]]


def test_use_of_an_earlier_day_takes_no_place_of_the_day_on_which_it_is_counted() -> None:
    yesterday = START - timedelta(days=1)
    campaign = fold(created(), limit_later("all", max_uses=5, max_per_day=1), earlier_use(LI, 1, yesterday))

    assert (campaign.occupied, campaign.find_available_on_day(START)) == (1, 1)
    assert track(created(), limit_later("all", max_per_day=1), earlier_use(LI, 1, yesterday))[0][-1] == []


def test_new_count_begins_with_no_use() -> None:
    limits = created(max_uses=5), take_use(LI, 1), take_use(WANG, 2)
    from_now, all_again = (fold(*limits, limit_later(counting, max_uses=5)) for counting in ("from_now", "all"))

    assert (from_now.occupied, from_now.counts_from, from_now.recounted_by) == (0, START, 4)
    assert (all_again.occupied, all_again.counts_from, all_again.recounted_by) == (0, None, 4)
    assert from_now.counts_uses
    broken, uses = track(*limits, limit_later("all", max_uses=5), earlier_use(LI, 1))
    assert broken == [[]] * 5
    assert (uses.count(LI), uses.count(WANG)) == (1, 0)


def test_uses_are_in_counting_campaigns_only() -> None:
    rule = "invariant 12: a campaign that never had a shared limit counts none"

    assert broken_rules(created(), take_use(LI, 1)) == [rule]
    assert broken_rules(created(max_per_person=1), take_use(LI, 1)) == []


def test_time_of_a_campaign_goes_forward_only() -> None:
    rule = "event log: time of a campaign never goes back"
    earlier = CampaignPaused(at=START - timedelta(seconds=1), actor="staff")

    assert broken_rules(created(), CampaignPaused(at=START, actor="staff")) == []
    assert broken_rules(created(), earlier) == [rule]


def track(*events: CampaignEvent, campaign_id: UUID = CAMPAIGN_ID) -> tuple[list[list[str]], OccupiedUses]:
    """The rules that each event of a stream breaks for persons and days, and what was counted."""
    uses = OccupiedUses()
    return track_more(uses, *events, campaign_id=campaign_id), uses


def track_more(uses: OccupiedUses, *events: CampaignEvent, campaign_id: UUID) -> list[list[str]]:
    campaign: Campaign | None = None
    broken = []
    for version, event in enumerate(events, start=1):
        campaign = evolve_campaign(campaign, campaign_id, version, event)
        broken.append(uses.find_broken_rules(event, campaign))
    return broken


def test_uses_of_a_person_stay_within_the_limit() -> None:
    broken, uses = track(
        created(max_per_person=1), take_use(LI, 1), take_use(WANG, 2), take_use(LI, 3), return_use(LI, 1)
    )

    assert broken == [[], [], [], [PERSON_LIMIT_RULE], []]
    assert (uses.count(LI), uses.count(WANG)) == (1, 1)


def test_each_returned_use_of_a_person_counts_one_less() -> None:
    _, uses = track(created(max_uses=9), *(take_use(LI, number) for number in (1, 2, 3)), return_use(LI, 2))

    assert uses.count(LI) == 2


def test_person_limit_is_compared_with_uses_only_where_they_can_break_it() -> None:
    change = CampaignTermsChanged(at=START, actor="staff", name="Autumn", max_per_person=0)
    broken, _ = track(created(max_per_person=0), change, CampaignPaused(at=START, actor="staff"), take_use(LI, 1))

    assert broken == [[], [], [], [PERSON_LIMIT_RULE]]


def test_lower_limit_of_a_person_is_compared_with_new_uses_alone() -> None:
    change = CampaignTermsChanged(at=START, actor="staff", name="Autumn", max_per_person=1)
    broken, _ = track(created(max_per_person=2), take_use(LI, 1), take_use(LI, 2), change, take_use(LI, 3))

    assert broken == [[], [], [], [], [PERSON_LIMIT_RULE]]


@pytest.mark.parametrize("event", [take_use(LI, 1), return_use(WANG, 1), return_use(LI, 2)])
def test_use_is_taken_and_returned_by_turns(event: CampaignEvent) -> None:
    broken, _ = track(created(max_uses=9), take_use(LI, 1), event)

    assert broken == [[], [], [ALTERNATION_RULE]]


def test_uses_of_the_previous_stream_are_dropped() -> None:
    _, uses = track(created(max_per_person=1), take_use(LI, 1))

    assert track_more(uses, created(max_per_person=1), take_use(LI, 2), campaign_id=UUID(int=0xCB)) == [[], []]
    assert uses.count(LI) == 1


def test_uses_of_a_day_stay_within_the_limit() -> None:
    """The next day in UTC begins with none, and an event without a use begins it too."""
    rule, next_day = "invariant 12: no use of a day is taken beyond the campaign's limit", START + timedelta(days=1)
    paused = CampaignPaused(at=next_day, actor="staff")
    later = replace(take_use(WANG, 2), at=next_day)

    assert broken_rules(created(max_per_day=1), take_use(LI, 1)) == []
    assert broken_rules(created(max_per_day=1), take_use(LI, 1), take_use(WANG, 2)) == [rule]
    assert broken_rules(created(max_per_day=1), take_use(LI, 1), later) == []
    campaign = fold(created(max_per_day=1), take_use(LI, 1), paused)
    assert (campaign.occupied, campaign.occupied_on_day) == (1, 0)
    assert campaign.find_available_on_day(START) == campaign.find_available_on_day(next_day) == 1
    assert fold(created(max_uses=1), take_use(LI, 1)).find_available_on_day(START) is None


@pytest.mark.parametrize(
    ("reserved_at", "left"), [(START + timedelta(hours=1), 1), (START - timedelta(hours=13), 0), (None, 0)]
)
def test_returned_use_frees_a_place_of_the_day_on_which_it_was_reserved(
    reserved_at: datetime | None, left: int
) -> None:
    """And of no other; events of older versions do not name it."""
    returned = replace(return_use(LI, 1), reserved_at=reserved_at)
    campaign = fold(created(max_per_day=1), take_use(LI, 1), returned)

    assert (campaign.occupied, campaign.find_available_on_day(START)) == (0, left)


def test_return_that_frees_a_place_of_another_day_is_found() -> None:
    """A use of the day before is returned as if it was reserved on this day: the day then has one use too few."""
    next_day = START + timedelta(days=1)
    broken, _ = track(
        created(max_per_day=1),
        take_use(LI, 1),
        replace(take_use(WANG, 2), at=next_day),
        replace(return_use(LI, 1), at=next_day, reserved_at=next_day),
    )

    assert broken == [[], [], [], [DAY_COUNT_RULE]]
