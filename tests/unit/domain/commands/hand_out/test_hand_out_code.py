"""A code that exists is handed out once, to one recipient, if it has no use."""

from uuid import UUID

import pytest

from domain.commands.code.issue import HandOutPlace
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.errors import RefusalWithReason
from domain.events.hand_out import CodeHandedOut
from domain.results import CommandResult
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import Scenario

PLACE, OTHER = HandOutPlace(UUID(int=1), UUID(int=2)), HandOutPlace(UUID(int=1), UUID(int=3))


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

    seen = [give(scenario), give(scenario), give(scenario, OTHER)]

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
