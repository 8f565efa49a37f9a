"""Hand-outs of a campaign are created, paused, resumed and ended, and give existing codes; a repeat changes nothing."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from msgspec import structs

from domain.commands.code.issue import HandOutPlace
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.commands.hand_out.manage_hand_out import (
    ChangeHandOut,
    CreateHandOut,
    EndHandOut,
    PauseHandOut,
    ResumeHandOut,
    TextChange,
)
from domain.errors import HandOutInvalid, Refusal, RefusalWithReason
from domain.events.code_terms import NO_TERMS
from domain.events.hand_out import CodeHandedOut
from domain.model.hand_out import HandOutText, Mailing
from domain.results import CommandResult, HandOutResult
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.scenario import START, Scenario


class FakeText(NamedTuple):
    text_id: UUID


HAND_OUT, OTHER = UUID(int=1), UUID(int=2)
CHANGES: dict[str, type[PauseHandOut] | type[ResumeHandOut] | type[EndHandOut]] = {
    "pause": PauseHandOut,
    "resume": ResumeHandOut,
    "end": EndHandOut,
}


def campaign() -> Scenario:
    return Scenario(campaign=make_campaign_terms())


def create(scenario: Scenario, **fields: Any) -> HandOutResult | Refusal:
    values = {"hand_out_id": HAND_OUT, "name": "Newsletter", "terms": make_terms(), **fields}
    campaign_id = scenario.campaign_id or UUID(int=3)
    return scenario.hand_out(CreateHandOut(context=scenario.context("staff"), campaign_id=campaign_id, **values))


def change(scenario: Scenario, how: str, hand_out_id: UUID = HAND_OUT, **fields: Any) -> HandOutResult | Refusal:
    campaign_id = scenario.campaign_id or UUID(int=3)
    return scenario.hand_out(
        CHANGES[how](context=scenario.context("staff"), campaign_id=campaign_id, hand_out_id=hand_out_id, **fields)
    )


def change_emails(scenario: Scenario, **changes: Any) -> HandOutResult | Refusal:
    scenario.working_set.writes.hand_out_texts = {}
    context, campaign_id = scenario.context("staff"), scenario.campaign_id or UUID(int=3)
    return scenario.hand_out(ChangeHandOut(context=context, campaign_id=campaign_id, hand_out_id=HAND_OUT, **changes))


def outcome(result: HandOutResult | Refusal) -> tuple[str, bool | str]:
    if isinstance(result, HandOutResult):
        return result.hand_out.state, result.changed
    return result.code, result.why if isinstance(result, RefusalWithReason) else ""


def test_hand_out_changes_state_and_repeats_change_nothing() -> None:
    scenario = campaign()
    steps = ["pause", "pause", "resume", "resume", "end", "end", "pause"]
    seen = [outcome(create(scenario)), outcome(create(scenario)), *(outcome(change(scenario, how)) for how in steps)]

    assert seen == [
        ("running", True),
        ("running", False),
        ("paused", True),
        ("paused", False),
        ("running", True),
        ("running", False),
        ("ended", True),
        ("ended", False),
        ("HAND_OUT_CONFLICT", "ended"),
    ]
    streams = {recorded.originator_id for recorded in scenario.working_set.new_events}
    assert streams == {scenario.campaign_id, scenario.code_id}


def test_draft_runs_from_its_start_on() -> None:
    """A pause of a draft changes nothing, since nothing is sent; its start is the event of a resumption."""
    scenario = campaign()
    seen = [
        outcome(create(scenario, is_draft=True)),
        *(outcome(change(scenario, how)) for how in ("pause", "resume", "pause")),
    ]

    assert seen == [("draft", True), ("draft", False), ("running", True), ("paused", True)]


def test_scheduled_hand_out_runs_from_its_start_on() -> None:
    scenario = campaign()
    later, latest = START + timedelta(minutes=10), START + timedelta(minutes=20)
    create(scenario, is_draft=True)
    seen = [outcome(change(scenario, "resume", starts_at=start)) for start in (latest, latest, later)]
    assert seen == [("scheduled", True), ("scheduled", False), ("scheduled", True)]

    hand_out = scenario.working_set.hand_outs[HAND_OUT]
    assert [hand_out.state_at(later - timedelta(microseconds=1)), hand_out.state_at(later)] == ["scheduled", "running"]
    scenario.passes(600)
    assert outcome(change(scenario, "resume"))[1] is False
    assert outcome(change(scenario, "resume", starts_at=latest)) == ("HAND_OUT_CONFLICT", "running")
    assert outcome(change(scenario, "pause")) == ("paused", True)
    assert scenario.working_set.hand_outs[HAND_OUT].find_start_ahead(START) == later
    assert scenario.working_set.hand_outs[HAND_OUT].find_start_ahead(scenario.now) is None


def test_scheduled_hand_out_can_start_at_once() -> None:
    """A resumption without a time moves the start that is ahead to now; a pause after it does not bring it back."""
    scenario = campaign()
    create(scenario, is_draft=True)
    change(scenario, "resume", starts_at=START + timedelta(days=1))
    resumed = outcome(change(scenario, "resume"))[1], scenario.working_set.hand_outs[HAND_OUT].state_at(scenario.now)
    change(scenario, "pause")
    hand_out = scenario.working_set.hand_outs[HAND_OUT]

    assert (resumed, hand_out.state) == ((True, "running"), "paused")
    assert hand_out.find_start_ahead(scenario.now) is None


@pytest.mark.parametrize("starts_at", [START, START - timedelta(days=1), START + timedelta(days=7)])
def test_start_must_lie_ahead_and_before_the_end_of_the_campaign(starts_at: datetime) -> None:
    """Codes that are handed out at the end of their campaign could not be redeemed."""
    scenario = Scenario(campaign=make_campaign_terms(ends_at=START + timedelta(days=7)))
    create(scenario, is_draft=True)

    assert outcome(change(scenario, "resume", starts_at=starts_at)) == ("HAND_OUT_INVALID", "starts_at")


@pytest.mark.parametrize("how", ["pause", "resume", "end"])
def test_reason_is_kept_if_the_event_names_it(how: str) -> None:
    """A command that changes nothing leaves no text."""
    scenario, notes = campaign(), [FakeText(UUID(int=8)), FakeText(UUID(int=9))]
    create(scenario, is_draft=how == "resume")
    for note in notes:
        change(scenario, how, note=note)

    assert scenario.working_set.writes.texts == notes[:1]
    assert getattr(scenario.working_set.new_events[-1].event, "text_id", None) == UUID(int=8)


@pytest.mark.parametrize(
    ("fields", "code", "why"),
    [
        ({"name": ""}, "HAND_OUT_INVALID", "name"),
        ({"name": "for li@example.com"}, "HAND_OUT_INVALID", "name"),
        ({"per_minute": 0}, "HAND_OUT_INVALID", "per_minute"),
        ({"per_minute": 100_001}, "HAND_OUT_INVALID", "per_minute"),
        ({"terms": make_terms(expires_at=START)}, "HAND_OUT_INVALID", "expires_at"),
        ({"terms": make_terms(max_uses=0)}, "OUT_OF_BOUNDS", "max_uses"),
        (
            {"terms": make_terms(allowed_domains="example.com", denied_domains="example.com")},
            "TERMS_CONTRADICT",
            "domains_overlap",
        ),
    ],
)
def test_hand_out_with_invalid_values_is_refused(fields: dict[str, Any], code: str, why: str) -> None:
    scenario = campaign()
    before = len(scenario.events)

    assert outcome(create(scenario, **fields)) == (code, why)
    assert len(scenario.events) == before


def test_hand_out_needs_a_campaign_that_was_not_ended() -> None:
    scenario = campaign()
    scenario.end_campaign()

    assert outcome(create(scenario))[0] == "CAMPAIGN_ENDED"
    assert outcome(create(Scenario()))[0] == "CAMPAIGN_UNKNOWN"


def test_unknown_hand_out_is_refused() -> None:
    scenario = campaign()
    create(scenario)

    assert outcome(change(scenario, "pause", OTHER))[0] == "HAND_OUT_NOT_FOUND"
    assert outcome(change(scenario, "pause"))[0] == "paused"


def test_refusal_of_a_hand_out_or_campaign_keeps_no_frames() -> None:
    """They would hold the working set of its transaction."""
    scenario = campaign()
    scenario.end_campaign()
    refusals = [change(scenario, "pause"), create(scenario), scenario.pause_campaign()]

    assert [isinstance(refusal, Refusal) and refusal.__traceback__ is None for refusal in refusals] == [True] * 3


def test_rate_and_texts_change_once() -> None:
    scenario = campaign()
    create(scenario, per_minute=600)
    working_set = scenario.working_set
    working_set.hand_out_texts = {"en": HandOutText("Hello", "Text")}
    changes: list[dict[str, Any]] = [
        {"changes_rate": True, "per_minute": 60},
        {"changes_rate": True, "per_minute": 60, "texts": {"en": TextChange(subject="Hello")}},
        {"texts": {"en": TextChange(body="New"), "zh": TextChange("", "")}},
        {"changes_rate": True},
    ]
    seen = []
    for each in changes:
        result = change_emails(scenario, **each)
        assert isinstance(result, HandOutResult)
        texts = working_set.writes.hand_out_texts.get(HAND_OUT, {})
        seen.append((result.changed, result.hand_out.per_minute, texts))

    text = {"en": HandOutText("Hello", "New")}
    assert seen == [(True, 60, {}), (False, 60, {}), (True, 60, text), (True, None, {})]


def test_change_that_is_not_possible_is_refused() -> None:
    scenario = campaign()
    create(scenario, per_minute=600)
    outdated = Mailing(per_minute=5, texts={})
    refused = [outcome(change_emails(scenario, changes_rate=True, per_minute=0))]
    refused += [outcome(change_emails(scenario, changes_rate=True, per_minute=5, expected=outdated))]
    change(scenario, "end")
    refused += [outcome(change_emails(scenario, changes_rate=True, per_minute=5))]
    refused += [outcome(change_emails(scenario, texts={"en": TextChange("New")}))]

    assert refused == [
        ("HAND_OUT_INVALID", "per_minute"),
        ("TERMS_CHANGED", ""),
        ("HAND_OUT_CONFLICT", "ended"),
        ("ended", True),
    ]


def test_hand_out_of_existing_codes_has_no_terms_but_its_group() -> None:
    """The codes have theirs; a code cannot be opened to everyone either."""
    scenario, group = Scenario(campaign=make_campaign_terms()), structs.replace(NO_TERMS, group="team")
    wrong: list[dict[str, Any]] = [
        {"terms": make_terms(max_uses=2)},
        {"terms": group, "bound": False},
        {"terms": group, "valid_for_days": 7},
    ]

    refused = [create(scenario, existing_codes=True, **fields) for fields in wrong]
    created = create(scenario, existing_codes=True, terms=group)

    assert [isinstance(result, HandOutInvalid) and result.why for result in refused] == ["terms"] * 3
    assert isinstance(created, HandOutResult)


@pytest.mark.parametrize("days", [0, 36_501])
def test_days_of_codes_lie_within_bounds(days: int) -> None:
    refused = create(Scenario(campaign=make_campaign_terms()), valid_for_days=days)

    assert outcome(refused) == ("HAND_OUT_INVALID", "valid_for")


PLACE, OTHER_PLACE = HandOutPlace(UUID(int=1), UUID(int=2)), HandOutPlace(UUID(int=1), UUID(int=3))


def give(
    scenario: Scenario,
    place: HandOutPlace = PLACE,
    campaign_id: UUID | None = None,
    *,
    group: str | None = None,
    is_listed: bool = False,
) -> str:
    result = scenario.run(
        HandOutCode(
            context=scenario.context("staff"),
            code_id=scenario.code_id,
            campaign_id=campaign_id or scenario.campaign_id or UUID(int=9),
            mail_group=group,
            place=place,
            upload_id=None if is_listed else UUID(int=4),
            language="en",
        )
    )
    if isinstance(result, RefusalWithReason):
        return result.why
    assert isinstance(result, CommandResult)
    return "changed" if result.changed else "unchanged"


def test_existing_code_is_handed_out_once_to_one_recipient() -> None:
    scenario = Scenario(campaign=make_campaign_terms())

    seen = [give(scenario), give(scenario), give(scenario, OTHER_PLACE)]

    assert seen == ["changed", "unchanged", "handed_out"]
    (event,) = [event for event in scenario.events if isinstance(event, CodeHandedOut)]
    assert (event.hand_out_id, event.recipient_id) == PLACE[:2]


@pytest.mark.parametrize("why", ["campaign", "over", "paused", "group", "used", "listed"])
def test_code_that_is_not_free_is_not_handed_out(why: str) -> None:
    scenario = Scenario(campaign=make_campaign_terms())
    if why == "over":
        scenario.revoke()
    if why == "paused":
        scenario.pause()
    if why == "used":
        scenario.redeem()
    if why == "listed":
        scenario.working_set.listed_codes.add(scenario.code_id)

    group = "team" if why == "group" else None
    assert give(scenario, campaign_id=UUID(int=8) if why == "campaign" else None, group=group) == why


@pytest.mark.parametrize("change", ["revoke", "pause", "redeem", "listed"])
def test_code_that_a_list_names_is_handed_out_whatever_became_of_it(change: str) -> None:
    """The list was checked at its upload; only a code that the list lost is refused."""
    scenario = Scenario(campaign=make_campaign_terms())
    if change == "listed":
        scenario.working_set.listed_codes.add(scenario.code_id)
    else:
        getattr(scenario, change)()

    assert give(scenario, is_listed=True) == ("listed" if change == "listed" else "changed")
