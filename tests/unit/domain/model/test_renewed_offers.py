"""Offers that could not be taken for a time have their full time when they can be taken again."""

from datetime import timedelta
from typing import Any, Final

import pytest

from domain.events.waiting_list import WaitingOfferMade
from domain.model.waiting_list import OFFER_MAIL_MAX
from tests.support.ledger.scenario import refusal
from tests.unit.domain.commands.campaign.test_waiting_list import listed, offered
from tests.unit.domain.histories import History

FULL_OFFER: Final = timedelta(hours=24) + OFFER_MAIL_MAX
"""How long an offer lasts from when it was made, if no email of it is sent."""


def offered_until(history: History) -> list[timedelta | None]:
    """How much longer each offer lasts."""
    ends = (place.offered_until for place in history.campaign.waiting)
    return [end - history.now if end else None for end in ends]


@pytest.mark.parametrize("passes", [1, 48])
def test_offer_that_a_refund_makes_takable_again_has_its_full_time(passes: int) -> None:
    # The person takes the use that is left.
    history = History(f"{offered('li', 'wang', uses=2)} set:max_uses:1 redeem {passes}h", **listed(2))
    before = offered_until(history)

    history.run_steps("refund-")

    assert before == [timedelta(hours=24 - passes)]
    assert isinstance(history.events[-1], WaitingOfferMade)
    assert offered_until(history) == [FULL_OFFER]
    history.run_steps("23h offer=unchanged wang.redeem=changed")


@pytest.mark.parametrize("ending", ["leave offer=unchanged", "offer=changed"], ids=["leave", "deadline"])
def test_offer_that_can_be_taken_once_another_has_ended_has_its_full_time(ending: str) -> None:
    history = History(f"{offered('li', 'wang', uses=2)} set:max_uses:1 48h {ending}", **listed(2))

    assert offered_until(history) == [FULL_OFFER]
    history.run_steps("visitor.redeem=CAMPAIGN_EXHAUSTED wang.redeem=changed")


def test_offers_that_an_event_leaves_takable_continue() -> None:
    history = History(
        f"{offered('li', uses=2)} 1h visitor.redeem wang.wait visitor.refund- set:name:Winter", **listed(2)
    )

    assert offered_until(history)[0] == timedelta(hours=23)


@pytest.mark.parametrize("hours", [1, 23, 25])
def test_offer_does_not_end_before_a_start_that_was_moved(hours: int) -> None:
    """The sweep makes it again at the start. Until then, no one takes its use, and its page says a time ahead."""
    history = History(offered("li"), **listed())
    starts_at = history.now + timedelta(hours=hours)
    history.change_campaign(starts_at=starts_at)
    history.run_steps(f"{hours - 1}h")
    early = history.campaign.needs_offers(history.now)
    shown = [history.campaign.find_reserved_until(each, history.now) for each in history.campaign.waiting]
    history.run_steps("1h")

    refused, (place,) = refusal(history.redeem("visitor")), history.campaign.waiting
    assert (early, refused, history.campaign.find_end(place)) == (False, "CAMPAIGN_EXHAUSTED", starts_at + FULL_OFFER)
    assert shown == [starts_at + timedelta(hours=history.campaign.terms.waiting_hours or 0)]
    history.run_steps("offer=changed")
    assert offered_until(history) == [FULL_OFFER]
    history.run_steps("mail")
    assert history.campaign.needs_offers(history.now) is False
    history.run_steps("24h visitor.redeem=changed")


def test_offer_that_lost_hours_to_a_start_ends_without_a_sweep() -> None:
    """It ends as if a sweep had made it again at the start."""
    history = History(offered("li"), **listed())
    history.change_campaign(starts_at=history.now + timedelta(hours=48))

    history.run_steps(f"48h {FULL_OFFER.total_seconds()}s visitor.redeem=changed")

    assert history.waiting == ""


@pytest.mark.parametrize("changes", [{"starts_at": 48}, {"max_uses": 1}])
def test_offer_is_not_made_again_after_the_end_of_the_campaign(changes: dict[str, Any]) -> None:
    """It was behind a start that was moved, or behind a limit; the use that comes back is for no one."""
    history = History(f"{offered('li', uses=2)} visitor.redeem=changed", **listed(2))
    if "starts_at" in changes:
        changes = {"starts_at": history.now + timedelta(hours=48)}
    history.change_campaign(ends_at=history.now + timedelta(hours=49), **changes)
    history.run_steps("50h")
    number = len(history.events)

    history.run_steps("visitor.refund-")

    assert history.campaign.find_offers_to_renew(history.now) == []
    assert WaitingOfferMade not in map(type, history.events[number:])
