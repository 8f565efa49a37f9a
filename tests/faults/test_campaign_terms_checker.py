"""The checker of a campaign whose limits change: each broken count, planted manually, is named."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.faults.chaos.campaign_terms import CampaignCount, find_miscounted_uses
from tests.faults.chaos.observations import LogFact

CAMPAIGN = "ca4a"
PEOPLE = {"r1": "li@example.com", "r2": "wang@example.com", "r3": "li@example.com", "r4": "zhao@example.com"}


def happen(*steps: str) -> list[LogFact]:
    """Return a log: `+r1` reserves a use that the campaign counts, `-r1` refunds it, `all 2` changes the limit.

    `r1` begins to count a use from before, `uncounted r1` reserves one and `kept r1` refunds one without the campaign.
    """
    facts = [LogFact("c0de", 1, "CodeIssued", {"campaign_id": CAMPAIGN})]
    facts.append(LogFact(CAMPAIGN, 1, "CampaignCreated", {"max_uses": 2}))
    for second, step in enumerate(steps):
        at, version = f"2026-12-01T00:00:{second:02}+00:00", second + 2
        word, _, rest = step.partition(" ")
        if rest.isdigit():
            data: dict[str, Any] = {"max_uses": int(rest), "counting": word, "at": at}
            facts.append(LogFact(CAMPAIGN, version, "CampaignTermsChanged", data))
            continue
        key = (rest or word).lstrip("+-")
        data = {"reservation_id": key, "at": at}
        if word[0] == "+" or word == "uncounted":
            facts.append(LogFact("c0de", version, "UseReserved", data))
        if word[0] == "-" or word == "kept":
            facts.append(LogFact("c0de", version, "UseRefunded", data))
        if word[0] in "+r":
            counted = data | ({"reserved_at": at} if word[0] == "r" else {})
            facts.append(LogFact(CAMPAIGN, version, "CampaignUseTaken", counted))
        if word[0] == "-":
            facts.append(LogFact(CAMPAIGN, version, "CampaignUseReturned", data))
    return facts


@pytest.mark.parametrize(
    ("steps", "uses", "word"),
    [
        (["+r1", "+r2", "-r1", "+r3"], 2, None),
        (["+r1", "+r2", "all 1", "r1", "r2", "-r2"], 1, None),
        (["+r1", "+r2", "from_now 1", "+r3", "kept r1"], 1, None),
        (["+r1", "+r3"], 2, "li@example.com took a second use"),
        (["+r1", "+r2", "+r4"], 3, "r4 took a use beyond 2"),
        (["+r1", "all 1", "r1", "+r2"], 2, "r2 took a use beyond 1"),
        (["+r1", "all 3", "r1", "+r3"], 2, "li@example.com took a second use"),
        (["+r1", "all 3", "+r2"], 1, "its codes have 2 uses that count, its stream 1"),
        (["+r1", "from_now 3", "r1"], 1, "its codes have 0 uses that count, its stream 1"),
        (["+r1", "from_now 3", "-r1"], 0, "r1 returned a use that was not counted"),
        (["+r1", "uncounted r2"], 1, "differ in ['r2']"),
        (["+r1", "kept r1"], 1, "differ in ['r1']"),
        (["+r1"], 0, "the API says 0"),
    ],
)
def test_miscounted_use_is_named(steps: Sequence[str], uses: int, word: str | None) -> None:
    broken = [*find_miscounted_uses(CampaignCount(CAMPAIGN, uses, PEOPLE), happen(*steps))]

    assert (broken == []) if word is None else any(word in each for each in broken), broken
