"""The checker of the rush on a campaign: it finds who was overtaken, and which threshold was not reported."""

import pytest

from tests.faults.chaos.campaign_timeline import Timeline, find_miscounted_reports, find_overtaken

LIMIT = 6
EVENTS = {
    "+": "CampaignUseTaken",
    "-": "CampaignUseReturned",
    "joins": "WaitingListJoined",
    "leaves": "WaitingListLeft",
    "renames": "WaitingPlaceRespelled",
}


def follow(*steps: str) -> Timeline:
    """A campaign whose first uses visitors took; `li +` is a use that li takes."""
    timeline = Timeline({})
    for step in [*(f"visitor{nth} +" for nth in range(LIMIT)), *steps]:
        person, _, kind = step.partition(" ")
        timeline.campaign_events.append((EVENTS[kind], {"recipient_id": person, "former_id": "li"}))
    return timeline


@pytest.mark.parametrize(
    ("steps", "overtakes"),
    [
        (["li joins", "visitor1 -", "li +"], False),
        (["li joins", "wang joins", "visitor1 -", "visitor2 -", "wang +", "li +"], False),
        (["li joins", "visitor1 -", "li leaves", "visitor9 +"], False),
        (["li joins", "visitor1 -", "li+tag renames", "li+tag +"], False),
        (["li joins", "visitor1 -", "li+tag +"], True),
        (["li joins", "visitor1 -", "visitor9 +"], True),
        (["li joins", "wang joins", "visitor1 -", "wang +"], True),
        (["visitor9 +"], True),
    ],
)
def test_use_that_is_kept_for_a_person_who_waits_is_missed(steps: list[str], overtakes: bool) -> None:
    """By visitors, and by people who wait behind; a use beyond the limit is taken from all."""
    assert bool([*find_overtaken(follow(*steps), LIMIT)]) is overtakes


def test_each_crossing_is_reported_once() -> None:
    """Two of the limit, after one use came back; none too many, and none too few."""
    timeline = follow("visitor1 -", "visitor1 +")
    reports = [("CampaignThresholdReached", {"threshold": name}) for name in ("5 left", "50%", "100%", "100%")]

    assert [*find_miscounted_reports(timeline, LIMIT)]
    timeline.campaign_events += reports
    assert [*find_miscounted_reports(timeline, LIMIT)] == []
    timeline.campaign_events += reports[:1]
    assert [*find_miscounted_reports(timeline, LIMIT)]
