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
from domain.errors import CampaignConflict, Refusal
from domain.events.campaign import CampaignEvent, CampaignTermsChanged, CampaignUseTaken
from domain.results import CampaignResult
from domain.working_set import MostUses
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import START, Scenario, done, refusal


class FakeText(NamedTuple):
    text_id: UUID


LATER = START + timedelta(days=1)
TOO_LATE = datetime(9500, 1, 1, tzinfo=UTC)


def changed(result: CampaignResult | Refusal) -> bool:
    assert isinstance(result, CampaignResult), result
    return result.changed


def paused(result: CampaignResult | Refusal) -> bool:
    assert isinstance(result, CampaignResult), result
    return result.campaign.is_paused


def why(result: CampaignResult | Refusal) -> str:
    assert isinstance(result, Refusal), result
    return f"{result.code} {result.facts.get('why')}"


def campaign_kinds(scenario: Scenario) -> list[str]:
    events = [recorded for recorded in scenario.working_set.new_events if recorded.originator_id == UUID(int=0xCA)]
    assert [recorded.originator_version for recorded in events] == list(range(1, len(events) + 1))
    return [type(recorded.event).__name__ for recorded in events]


@pytest.mark.parametrize("kind", [PauseCampaign, EndCampaign])
def test_reason_is_kept_if_the_event_names_it(kind: type[PauseCampaign | EndCampaign]) -> None:
    scenario = Scenario(campaign=make_campaign_terms())
    notes = [FakeText(UUID(int=8)), FakeText(UUID(int=9))]
    for note in notes:
        scenario.manage(kind(context=scenario.context("staff"), campaign_id=UUID(int=0xCA), note=note))

    assert scenario.working_set.writes.texts == notes[:1]
    assert getattr(scenario.working_set.new_events[-1].event, "text_id", None) == UUID(int=8)


def test_campaign_is_created_once_however_often_the_command_comes() -> None:
    """A lost answer makes a client repeat it."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=5))

    assert not changed(scenario.create_campaign(make_campaign_terms(max_uses=5)))
    assert campaign_kinds(scenario) == ["CampaignCreated"]
    assert scenario.campaign.terms == make_campaign_terms(max_uses=5)
    assert scenario.campaign.created_at == scenario.campaign.last_at == START


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

    assert why(handle(command, scenario.working_set, scenario.policy)) == f"CAMPAIGN_TERMS_INVALID {reason}"
    assert why(existing.change_campaign(**terms)) == f"CAMPAIGN_TERMS_INVALID {reason}"
    assert campaign_kinds(scenario) == []
    assert campaign_kinds(existing) == ["CampaignCreated"]


def test_end_that_has_passed_does_not_bar_a_change_of_other_terms() -> None:
    scenario = Scenario(campaign=make_campaign_terms(ends_at=LATER))
    scenario.passes((LATER - START).total_seconds() + 60)

    assert changed(scenario.change_campaign(name="Winter"))
    assert why(scenario.change_campaign(ends_at=LATER + timedelta(seconds=1))) == "CAMPAIGN_TERMS_INVALID end_in_past"
    assert changed(scenario.change_campaign(ends_at=scenario.now + timedelta(seconds=1)))
    assert scenario.campaign.terms.name == "Winter"


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


def test_change_records_all_terms_and_repeating_it_records_nothing() -> None:
    """So the event can be read alone."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=5, group="blue"))

    assert changed(scenario.change_campaign(max_uses=7))
    assert not changed(scenario.change_campaign(max_uses=7))
    event = scenario.working_set.new_events[-1].event

    assert isinstance(event, CampaignTermsChanged)
    assert event.terms == scenario.campaign.terms == make_campaign_terms(max_uses=7, group="blue")
    assert (event.actor, event.recorded_at) == ("staff", None)


def test_change_is_made_only_as_long_as_the_terms_are_the_expected_ones() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=5))
    seen = scenario.campaign.terms
    command = ChangeCampaignTerms(
        context=scenario.context("staff"), campaign_id=UUID(int=0xCA), changes={"max_uses": 7}, expected=seen
    )

    assert changed(scenario.manage(command))
    assert why(scenario.manage(command)) == "TERMS_CHANGED None"
    assert scenario.campaign.terms.max_uses == 7


def test_limit_can_fall_to_the_uses_that_are_occupied_and_no_further() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=5), max_uses=5, bound=False)
    scenario.sent("li")
    scenario.reserved("wang")

    assert why(scenario.change_campaign(max_uses=1)) == "CAMPAIGN_CONFLICT max_uses"
    assert changed(scenario.change_campaign(max_uses=2))
    assert scenario.campaign.available == 0


def test_limit_per_person_can_fall_to_the_most_uses_of_one_person() -> None:
    """The store looks up how many these are."""
    scenario = Scenario(campaign=make_campaign_terms(max_per_person=5))
    scenario.working_set.most_per_person[UUID(int=0xCA)] = MostUses(3, 4)

    assert why(scenario.change_campaign(max_per_person=2)) == "CAMPAIGN_CONFLICT max_per_person"
    assert changed(scenario.change_campaign(max_per_person=3))


def test_rule_of_persons_changes_if_no_mailbox_has_more_uses_than_the_limit() -> None:
    """The store counts the uses again, under the lock of the campaign; one mailbox has those of several addresses."""
    scenario = Scenario(campaign=make_campaign_terms(max_per_person=3))
    scenario.working_set.most_per_person[UUID(int=0xCA)] = MostUses(3, 4)

    assert why(scenario.change_campaign(person_rule="mailbox")) == "CAMPAIGN_CONFLICT max_per_person"
    assert changed(scenario.change_campaign(person_rule="mailbox", max_per_person=4))
    assert why(scenario.change_campaign(max_per_person=3)) == "CAMPAIGN_CONFLICT max_per_person"
    assert changed(scenario.change_campaign(person_rule=None, max_per_person=3))


def test_no_campaign_counts_by_mailbox_while_mailboxes_are_unknown() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_per_person=3))
    terms = make_campaign_terms(person_rule="mailbox")
    create = CreateCampaign(context=scenario.context("staff"), campaign_id=UUID(int=1), terms=terms)
    scenario.working_set.lacks_mailboxes = True

    assert why(handle(create, scenario.working_set, scenario.policy)) == "CAMPAIGN_CONFLICT no_mailboxes"
    assert why(scenario.change_campaign(person_rule="mailbox")) == "CAMPAIGN_CONFLICT no_mailboxes"
    scenario.working_set.lacks_mailboxes = False
    assert changed(scenario.change_campaign(person_rule="mailbox"))
    scenario.working_set.lacks_mailboxes = True
    assert changed(scenario.change_campaign(max_per_person=4))


def test_limit_per_day_can_fall_to_the_uses_of_the_day() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_per_day=5), max_uses=5, bound=False)
    scenario.reserved("li")
    scenario.reserved("wang")

    assert why(scenario.change_campaign(max_per_day=1)) == "CAMPAIGN_CONFLICT max_per_day"
    assert changed(scenario.change_campaign(max_per_day=2))
    scenario.passes(86_400)
    assert changed(scenario.change_campaign(max_per_day=1))


def test_every_limit_that_would_be_below_its_uses_is_named_with_their_number() -> None:
    terms = make_campaign_terms(max_uses=9, max_per_person=5, max_per_day=5)
    scenario = Scenario(campaign=terms, max_uses=9, bound=False)
    for person in ("li", "wang", "zhao"):
        scenario.reserved(person)
    scenario.working_set.most_per_person[UUID(int=0xCA)] = MostUses(2, 2)

    all_three = scenario.change_campaign(max_uses=2, max_per_person=1, max_per_day=2)
    two = scenario.change_campaign(max_uses=3, max_per_person=1, max_per_day=1)

    assert [result.facts.get("in_use") for result in (all_three, two) if isinstance(result, CampaignConflict)] == [
        {"max_uses": 3, "max_per_person": 2, "max_per_day": 3},
        {"max_per_person": 2, "max_per_day": 3},
    ]
    assert changed(scenario.change_campaign(max_uses=3, max_per_person=2, max_per_day=3))


def uncounted(*persons: str) -> Scenario:
    scenario = Scenario(campaign=make_campaign_terms(), max_uses=9, bound=False)
    for person in persons:
        scenario.passes(60)
        scenario.reserved(person)
    return scenario


def campaign_events(scenario: Scenario) -> list[CampaignEvent]:
    new = [each.event for each in scenario.working_set.new_events]
    return [event for event in new if isinstance(event, CampaignEvent)][1:]


def numbers(scenario: Scenario) -> tuple[int, int | None, int | None]:
    """Uses that the limits count, what is left over all codes, and what is left today."""
    campaign = scenario.campaign
    return campaign.occupied, campaign.available, campaign.find_available_on_day(scenario.now)


def test_limit_that_starts_later_counts_all_uses_and_names_them() -> None:
    scenario = uncounted("li", "wang")

    assert changed(scenario.change_campaign(max_uses=3, max_per_day=3))

    terms, *uses = campaign_events(scenario)
    assert isinstance(terms, CampaignTermsChanged)
    assert (terms.counting, terms.max_uses) == ("all", 3)
    assert [(type(use).__name__, use.at) for use in uses] == [("CampaignUseTaken", terms.at)] * 2
    assert [use.reserved_at for use in uses if isinstance(use, CampaignUseTaken)] == [
        START + timedelta(seconds=seconds) for seconds in (60, 120)
    ]
    assert numbers(scenario) == (2, 1, 1)
    scenario.reserved("zhao")
    assert refusal(scenario.redeem("qian")) == "CAMPAIGN_HELD"


def test_limit_that_counts_from_now_on_counts_no_earlier_use() -> None:
    scenario = uncounted("li", "wang")
    earlier = next(iter(scenario.working_set.reservations))

    assert changed(scenario.change_campaign("from_now", max_uses=1, max_per_person=1))
    assert numbers(scenario)[:2] == (0, 1)
    done(scenario.refund(earlier))
    assert numbers(scenario)[:2] == (0, 1)
    scenario.reserved("qian")

    assert refusal(scenario.redeem("zhao")) == "CAMPAIGN_HELD"
    (terms, _) = campaign_events(scenario)
    assert isinstance(terms, CampaignTermsChanged)
    assert (terms.counting, scenario.campaign.counts_from) == ("from_now", terms.at)


def test_earlier_uses_count_by_person_and_by_the_day_on_which_they_were_reserved() -> None:
    scenario = uncounted()
    yesterday = scenario.sent("li")
    scenario.passes(86_400)
    scenario.reserved("wang")

    assert changed(scenario.change_campaign(max_per_day=2, max_per_person=1))

    assert numbers(scenario) == (2, None, 1)
    assert refusal(scenario.redeem("li", again=yesterday)) == "PERSON_LIMIT"
    scenario.reserved("qian")
    assert refusal(scenario.redeem("zhao")) == "CAMPAIGN_DAY_LIMIT"


def test_limit_below_earlier_uses_needs_the_choice_and_takes_none_of_them() -> None:
    scenario = uncounted("li", "wang", "zhao")
    first, *_ = scenario.working_set.reservations

    assert why(scenario.change_campaign(max_uses=2, max_per_day=1)) == "CAMPAIGN_CONFLICT max_uses"
    assert changed(scenario.change_campaign("all", max_uses=2, max_per_day=2))

    assert numbers(scenario) == (3, -1, -1)
    assert scenario.campaign.state(scenario.now) == "full"
    assert refusal(scenario.redeem("qian")) == "CAMPAIGN_HELD"
    done(scenario.refund(first))
    assert refusal(scenario.redeem("qian")) == "CAMPAIGN_HELD"
    done(scenario.refund([*scenario.working_set.reservations][1]))
    assert done(scenario.redeem("qian")).changed


def test_uses_over_a_limit_bar_no_change_of_other_terms() -> None:
    scenario = uncounted("li", "wang", "zhao")
    assert changed(scenario.change_campaign("all", max_uses=2))

    assert changed(scenario.change_campaign(name="Winter"))
    assert changed(scenario.change_campaign(max_per_person=1))
    assert why(scenario.change_campaign(max_uses=1)) == "CAMPAIGN_CONFLICT max_uses"


def test_counting_campaign_may_get_a_limit_below_its_uses_by_choice() -> None:
    """It counts all of them already, so none is counted again."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=5), max_uses=9, bound=False)
    for person in ("li", "wang"):
        scenario.reserved(person)

    assert changed(scenario.change_campaign("all", max_uses=1))
    assert not changed(scenario.change_campaign("all", max_uses=1))

    assert campaign_kinds(scenario)[1:] == ["CampaignUseTaken"] * 2 + ["CampaignTermsChanged"]
    assert numbers(scenario)[:2] == (2, -1)


def test_choice_can_be_changed_and_all_uses_are_counted_again() -> None:
    scenario = uncounted("li")
    assert changed(scenario.change_campaign("from_now", max_uses=3))
    scenario.reserved("wang")
    assert numbers(scenario)[:2] == (1, 2)
    assert changed(scenario.change_campaign("from_now"))
    assert numbers(scenario)[:2] == (0, 3)
    scenario.reserved("zhao")

    assert changed(scenario.change_campaign("all", max_uses=4))

    assert numbers(scenario)[:2] == (3, 1)
    assert scenario.campaign.counts_from is None


def test_choice_without_a_limit_is_refused() -> None:
    """There is nothing to count for; other terms need no choice."""
    scenario = uncounted()

    assert why(scenario.change_campaign("all", ends_at=LATER)) == "CAMPAIGN_CONFLICT uncounted"
    assert changed(scenario.change_campaign(ends_at=LATER))
    assert not scenario.campaign.counts_uses


def test_more_uses_than_one_commit_counts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manage_campaign, "EXISTING_USES_MAX", 1)
    scenario = uncounted("li", "wang")

    assert why(scenario.change_campaign(max_uses=5)) == "CAMPAIGN_CONFLICT too_many_uses"
    assert changed(scenario.change_campaign("from_now", max_uses=5))


def test_request_that_waited_is_counted_from_now_on() -> None:
    """Its time is that of the count at the earliest, although it asked before."""
    scenario = uncounted()
    assert changed(scenario.change_campaign("from_now", max_uses=1))
    scenario.passes(-30)
    scenario.reserved("li")

    assert numbers(scenario)[:2] == (1, 0)
    (reservation,) = scenario.working_set.reservations.values()
    assert reservation.reserved_at == scenario.campaign.counts_from


def test_reason_of_a_change_is_kept() -> None:
    scenario = uncounted()
    text = FakeText(UUID(int=0x7E))
    command = ChangeCampaignTerms(
        context=scenario.context("staff"), campaign_id=UUID(int=0xCA), changes={"ends_at": LATER}, note=text
    )

    assert changed(scenario.manage(command))
    (event,) = campaign_events(scenario)
    assert isinstance(event, CampaignTermsChanged)
    assert (event.text_id, scenario.working_set.writes.texts) == (text.text_id, [text])


def test_shared_limit_can_be_lifted_and_set_again() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=1), max_uses=3, bound=False)

    assert changed(scenario.change_campaign(max_uses=None))
    scenario.reserved("li")
    scenario.reserved("wang")

    assert scenario.campaign.available is None
    assert why(scenario.change_campaign(max_uses=1)) == "CAMPAIGN_CONFLICT max_uses"
    assert changed(scenario.change_campaign(max_uses=2))


def test_pause_and_resume_are_recorded_once_each() -> None:
    scenario = Scenario(campaign=make_campaign_terms())

    results = [scenario.resume_campaign(), scenario.pause_campaign(), scenario.pause_campaign()]
    results.append(scenario.resume_campaign())

    assert [changed(result) for result in results] == [False, True, False, True]
    assert [paused(result) for result in results] == [False, True, True, False]
    assert campaign_kinds(scenario) == ["CampaignCreated", "CampaignPaused", "CampaignResumed"]


def test_ended_campaign_stays_ended_and_takes_no_other_command() -> None:
    scenario = Scenario(campaign=make_campaign_terms(max_uses=5))

    assert changed(scenario.end_campaign())
    assert not changed(scenario.end_campaign())
    assert scenario.campaign.ended_by == 2
    for result in (scenario.pause_campaign(), scenario.resume_campaign(), scenario.change_campaign(max_uses=6)):
        assert why(result) == "CAMPAIGN_CONFLICT ended"
    assert campaign_kinds(scenario) == ["CampaignCreated", "CampaignEnded"]


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

    assert [why(handle(command, scenario.working_set, scenario.policy)) for command in commands] == [
        "CAMPAIGN_NOT_FOUND None"
    ] * 2
    assert scenario.kinds == []


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


def test_time_of_a_campaign_never_goes_back() -> None:
    scenario = Scenario(campaign=make_campaign_terms())
    scenario.passes(-60)
    scenario.pause_campaign()
    event = scenario.working_set.new_events[-1].event

    assert (event.at, event.recorded_at) == (START, START - timedelta(seconds=60))
