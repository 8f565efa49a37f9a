"""A rush on a campaign: exactly its limit is used, each use by another real person, and every refusal was true then.

No one overtakes those on its waiting list, and each threshold is reported as often as it is crossed.
"""

from pathlib import Path

import pytest

from tests.faults.chaos.campaign_rush import FAULTS_AWAITED, RushPlan, run_rush

SLICE = RushPlan(seed=8, codes=60, limit=40, people=90, connections=10, faults=4, ttl_s=5)
WHOLE = RushPlan(seed=5, codes=1000, limit=500, people=3000, connections=200, faults=40)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(SLICE, id="slice", marks=pytest.mark.night(of="chaos")),
        pytest.param(WHOLE, id="whole", marks=pytest.mark.night(of="chaos")),
    ],
)
def test_campaign_uses_exactly_its_limit_while_workers_and_broker_fail(servers_folder: Path, plan: RushPlan) -> None:
    """Returned uses are taken again, and verify and rebuild find no difference."""
    report = run_rush(plan, servers_folder / f"rush-{plan.people}")

    print(report)  # noqa: T201 - what a failure is read with
    assert report.broken == [], report
    assert (report.balance["used_count"], report.balance["reserved"]) == (plan.limit, 0)
    assert report.balance["state"] == "full"
    assert report.people == plan.limit
    assert report.tagged["asked"] > 0.3 * plan.people
    assert report.tagged["PERSON_LIMIT"] > 0
    assert report.returned > 0
    assert report.events["WaitingListJoined"] > 0
    assert report.events["CampaignThresholdReached"] >= 3
    assert report.struck.total() >= FAULTS_AWAITED, report
    assert {"ok", "CAMPAIGN_EXHAUSTED", "DOMAIN_NOT_ALLOWED", "PERSON_LIMIT"} <= {*report.answers}
