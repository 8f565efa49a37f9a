"""How many uses are for people on the waiting list alone: some exactly when a visitor is refused because of them."""

import pytest

from domain.commands.campaign.campaign_limits import count_only_for_waiting
from domain.errors import Refusal
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import Scenario, done, refusal

DAY_S = 86400.0


def waiting_for(*, max_uses: int, left: int, people: int) -> Scenario:
    """A campaign with uses left for people on its waiting list, of which the first ones have an offer."""
    scenario = Scenario(campaign=make_campaign_terms(max_uses=max_uses, waiting_hours=24), max_uses=99, bound=False)
    for nth in range(max_uses):
        scenario.sent(f"p{nth}")
    for nth in range(people):
        scenario.wait(f"w{nth}")
    for nth in range(left):
        use = scenario.newest_use(f"p{nth}")
        assert use is not None
        done(scenario.refund(use, revoke_access=False))
    scenario.offer_uses()
    return scenario


def only_for_waiting(scenario: Scenario) -> int:
    """The uses of the campaign that the scenario's code can only bring to people who wait."""
    return count_only_for_waiting(scenario.campaign, scenario.code, scenario.now)


@pytest.mark.parametrize(
    ("left", "people", "expected", "visitor"),
    [
        (1, 1, 1, "CAMPAIGN_EXHAUSTED"),
        (2, 3, 2, "CAMPAIGN_EXHAUSTED"),
        (2, 1, 0, "ok"),
        (1, 0, 0, "ok"),
        (0, 2, 0, "CAMPAIGN_EXHAUSTED"),
    ],
)
def test_uses_are_kept_when_they_are_no_more_than_the_people_who_wait(
    left: int, people: int, expected: int, visitor: str
) -> None:
    scenario = waiting_for(max_uses=3, left=left, people=people)
    counted, on_campaign = only_for_waiting(scenario), scenario.campaign.for_waiting

    answer = scenario.redeem("visitor")

    assert (counted, on_campaign) == (expected, min(left, people))
    assert (refusal(answer) if isinstance(answer, Refusal) else "ok") == visitor


def test_use_of_a_code_is_kept_although_its_campaign_has_uses_for_all() -> None:
    scenario = waiting_for(max_uses=2, left=0, people=0)
    last = scenario.issue(b"last", max_uses=1, bound=False)
    scenario.wait("li", code=b"last")
    scenario.change_campaign(max_uses=9)
    by_code = count_only_for_waiting(scenario.campaign, scenario.working_set.codes[last], scenario.now)

    assert (by_code, only_for_waiting(scenario), count_only_for_waiting(scenario.campaign, None, scenario.now)) == (
        1,
        0,
        0,
    )
    assert refusal(scenario.redeem("visitor", code=b"last")) == "CAMPAIGN_EXHAUSTED"


def test_uses_of_the_day_are_kept_too() -> None:
    scenario = waiting_for(max_uses=1, left=0, people=2)
    scenario.change_campaign(max_uses=9, max_per_day=2)

    assert only_for_waiting(scenario) == 1
    assert refusal(scenario.redeem("visitor")) == "CAMPAIGN_DAY_LIMIT"


def test_use_of_the_day_is_for_the_first_who_waits() -> None:
    scenario = waiting_for(max_uses=3, left=2, people=2)
    scenario.change_campaign(max_per_day=2)
    campaign = scenario.campaign

    assert [campaign.keeps_use_for(place, scenario.now) for place in campaign.waiting] == [True, False]
    assert refusal(scenario.redeem("w1")) == "CAMPAIGN_DAY_LIMIT"
    assert done(scenario.redeem("w0")).changed


def test_no_use_is_kept_during_a_pause_or_after_the_offer() -> None:
    scenario = waiting_for(max_uses=1, left=1, people=1)
    scenario.pause_campaign()
    paused = only_for_waiting(scenario)
    scenario.resume_campaign()
    scenario.passes(30 * DAY_S)

    assert (paused, only_for_waiting(scenario)) == (0, 0)
    assert done(scenario.redeem("visitor")).changed
