"""Offers that could not be taken for a time have their full time when they can be taken again."""

from datetime import timedelta
from typing import Any, Final

import pytest

from domain.events.waiting_list import WaitingOfferMade
from domain.model.waiting_list import OFFER_MAIL_MAX
from tests.support.ledger.scenario import done, refusal
from tests.unit.domain.commands.campaign.test_waiting_list import HOUR, give_back, joined, offered, waiting

FULL_OFFER: Final = timedelta(hours=24) + OFFER_MAIL_MAX
"""How long an offer lasts from when it was made, if no email of it is sent."""


@pytest.mark.parametrize("passes", [1, 48])
def test_offer_that_a_refund_makes_takable_again_has_its_full_time(passes: int) -> None:
    scenario = offered("li", "wang", uses=2)
    scenario.change_campaign(max_uses=1)
    scenario.redeem("li")  # the use that is left
    scenario.passes(passes * HOUR)
    before = scenario.campaign.waiting

    give_back(scenario, "li")

    assert [place.offered_until for place in before] == [scenario.now + timedelta(hours=24 - passes)]
    assert isinstance(scenario.events[-1], WaitingOfferMade)
    assert scenario.campaign.waiting[0].offered_until == scenario.now + FULL_OFFER
    scenario.passes(23 * HOUR)
    assert joined(scenario.offer_uses()).changed is False
    assert done(scenario.redeem("wang")).changed


@pytest.mark.parametrize("ending", ["leave", "deadline"])
def test_offer_that_can_be_taken_once_another_has_ended_has_its_full_time(ending: str) -> None:
    scenario = offered("li", "wang", uses=2)
    scenario.change_campaign(max_uses=1)
    scenario.passes(48 * HOUR)

    if ending == "leave":
        scenario.leave("li")
    assert joined(scenario.offer_uses()).changed is (ending == "deadline")

    assert [place.offered_until for place in scenario.campaign.waiting] == [scenario.now + FULL_OFFER]
    assert refusal(scenario.redeem("visitor")) == "CAMPAIGN_EXHAUSTED"
    assert done(scenario.redeem("wang")).changed


def test_offers_that_an_event_leaves_takable_continue() -> None:
    scenario = offered("li", uses=2)
    until = scenario.campaign.waiting[0].offered_until
    scenario.passes(HOUR)
    done(scenario.redeem("visitor"))
    scenario.wait("wang")
    give_back(scenario, "visitor")
    scenario.change_campaign(name="Winter")

    assert scenario.campaign.waiting[0].offered_until == until


@pytest.mark.parametrize("hours", [1, 23, 25])
def test_offer_does_not_end_before_a_start_that_was_moved(hours: int) -> None:
    """The sweep makes it again at the start. Until then, no one takes its use, and its page says a time ahead."""
    scenario = offered("li")
    starts_at = scenario.now + timedelta(hours=hours)
    scenario.change_campaign(starts_at=starts_at)
    scenario.passes((hours - 1) * HOUR)
    early = scenario.campaign.needs_offers(scenario.now)
    shown = [scenario.campaign.find_reserved_until(each, scenario.now) for each in scenario.campaign.waiting]
    scenario.passes(HOUR)

    refused, (place,) = refusal(scenario.redeem("visitor")), scenario.campaign.waiting
    assert (early, refused, scenario.campaign.find_end(place)) == (False, "CAMPAIGN_EXHAUSTED", starts_at + FULL_OFFER)
    assert shown == [starts_at + timedelta(hours=scenario.campaign.terms.waiting_hours or 0)]
    assert joined(scenario.offer_uses()).changed
    assert scenario.campaign.waiting[0].offered_until == scenario.now + FULL_OFFER
    scenario.mail_offer("li")
    assert scenario.campaign.needs_offers(scenario.now) is False
    scenario.passes(24 * HOUR)
    assert done(scenario.redeem("visitor")).changed


def test_offer_that_lost_hours_to_a_start_ends_without_a_sweep() -> None:
    """It ends as if a sweep had made it again at the start."""
    scenario = offered("li")
    scenario.change_campaign(starts_at=scenario.now + timedelta(hours=48))
    scenario.passes(48 * HOUR + FULL_OFFER.total_seconds())

    assert done(scenario.redeem("visitor")).changed
    assert waiting(scenario) == []


@pytest.mark.parametrize("changes", [{"starts_at": 48}, {"max_uses": 1}])
def test_offer_is_not_made_again_after_the_end_of_the_campaign(changes: dict[str, Any]) -> None:
    """It was behind a start that was moved, or behind a limit; the use that comes back is for no one."""
    scenario = offered("li", uses=2)
    done(scenario.redeem("visitor"))
    if "starts_at" in changes:
        changes = {"starts_at": scenario.now + timedelta(hours=48)}
    scenario.change_campaign(ends_at=scenario.now + timedelta(hours=49), **changes)
    scenario.passes(50 * HOUR)
    number = len(scenario.events)

    give_back(scenario, "visitor")

    assert scenario.campaign.find_offers_to_renew(scenario.now) == []
    assert WaitingOfferMade not in map(type, scenario.events[number:])
