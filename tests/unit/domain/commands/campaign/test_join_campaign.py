"""A code joins a campaign: once, without reserved uses, and what it was used before does not count there."""

from uuid import UUID

import pytest

from domain.errors import Refusal
from domain.events.code import CodeJoinedCampaign
from domain.events.reservation import LateSuccessRecorded
from domain.results import Result
from tests.support.ledger.code_terms import make_campaign_terms
from tests.support.ledger.scenario import LOST, SENT, Scenario, done, refusal

OTHER = b"other"


def outside(**terms: object) -> Scenario:
    return Scenario(campaign=make_campaign_terms(**terms), is_member=False, max_uses=9, bound=False)


def why(result: Result) -> str:
    assert isinstance(result, Refusal), result
    return f"{result.code}/{result.facts.get('why')}"


def campaign_uses(scenario: Scenario) -> list[str]:
    return [kind for kind in scenario.kinds if kind.startswith("CampaignUse")]


def test_code_joins_once() -> None:
    scenario = outside(max_uses=1)

    results = [done(scenario.join()), done(scenario.join())]

    assert [result.changed for result in results] == [True, False]
    assert isinstance(scenario.events[-1], CodeJoinedCampaign)
    assert (scenario.code.campaign_id, scenario.code.campaign_since) == (scenario.campaign_id, scenario.code.version)
    assert scenario.kinds.count("CodeJoinedCampaign") == 1


def test_limits_hold_from_joining_on_and_earlier_uses_do_not_count() -> None:
    scenario = outside(max_uses=1, max_per_person=1)
    earlier = scenario.sent("li")
    done(scenario.join())
    other = scenario.issue(OTHER, max_uses=9, bound=False)

    assert done(scenario.redeem("li", code=OTHER)).changed
    assert refusal(scenario.redeem("wang")) == "CAMPAIGN_HELD"
    done(scenario.refund(earlier, revoke_access=False))

    assert refusal(scenario.redeem("wang")) == "CAMPAIGN_HELD"
    assert campaign_uses(scenario) == ["CampaignUseTaken"]
    assert (scenario.campaign.occupied, scenario.working_set.codes[other].reserved, scenario.balance) == (1, 1, (0, 0))


def test_correction_of_an_earlier_use_takes_one_of_the_campaign() -> None:
    """The new reservation is made while the code belongs to it."""
    scenario = outside(max_uses=1)
    earlier = scenario.sent("li")
    second = scenario.sent("zhao")
    done(scenario.join())

    done(scenario.correct(earlier, "wang"))

    assert campaign_uses(scenario) == ["CampaignUseTaken"]
    assert refusal(scenario.correct(second, "qian")) == "CAMPAIGN_HELD"


def test_late_success_of_an_earlier_use_counts_outside_of_the_campaign() -> None:
    scenario = outside(max_uses=1)
    earlier = scenario.reserved("li")
    scenario.attempt(earlier, LOST)
    done(scenario.resolve(earlier, "refunded"))
    done(scenario.join())
    done(scenario.redeem("wang"))
    scenario.outcome(earlier, SENT, attempt=1)

    (late,) = [event for event in scenario.events if isinstance(event, LateSuccessRecorded)]
    assert late.effect == "retaken"
    assert (scenario.campaign.occupied, scenario.balance) == (1, (1, 1))


@pytest.mark.parametrize(
    ("group", "expected"), [(None, "CODE_NOT_JOINABLE/group"), ("red", "CODE_NOT_JOINABLE/group"), ("blue", None)]
)
def test_code_of_another_group_cannot_join(group: str | None, expected: str | None) -> None:
    scenario = outside(group="blue")
    code_id = scenario.issue(OTHER, group=group, is_member=False)
    result = scenario.join(code_id)

    assert (None if expected is None else why(result)) == expected
    assert (scenario.working_set.codes[code_id].campaign_id is None) == (expected is not None)
    assert done(outside().join()).changed


def test_code_that_cannot_join_is_refused_in_the_declared_order() -> None:
    scenario = outside(max_uses=5)
    seen = [why(scenario.join(UUID(int=1))), why(scenario.join(campaign_id=UUID(int=1)))]
    mine = scenario.reserved("li")
    seen.append(why(scenario.join()))
    done(scenario.cancel(mine))
    member = scenario.issue(OTHER)
    first = scenario.campaign_id
    scenario.campaign_id = UUID(int=0xCB)
    scenario.create_campaign(make_campaign_terms())
    seen.append(why(scenario.join(member)))
    scenario.end_campaign()
    seen.append(why(scenario.join(member)))
    scenario.campaign_id = first
    scenario.revoke()
    seen.append(why(scenario.join()))

    assert seen == [
        "NOT_FOUND/None",
        "CAMPAIGN_UNKNOWN/None",
        "CODE_NOT_JOINABLE/reserved",
        "CODE_NOT_JOINABLE/other_campaign",
        "CAMPAIGN_ENDED/issue",
        "CODE_REVOKED/None",
    ]
    assert scenario.kinds.count("CodeJoinedCampaign") == 0
