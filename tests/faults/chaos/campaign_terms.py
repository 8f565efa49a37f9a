"""A campaign that counts by mailbox, whose limits staff change while people redeem; and what must hold of its count.

The check reads the log and what clients saw, and shares nothing with the code that it checks.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

from tests.faults.chaos.campaign_timeline import find_person
from tests.faults.chaos.observations import Acknowledgement, LogFact
from tests.faults.rigs.retries import pause
from tests.support.servers.embedded_stack import Stack
from tests.support.waiting import WAIT_S_MAX

CODES = 4
LIMITS = (3, 6, 12)
COUNTINGS = ("all", "from_now")
CHANGES_MIN = 2
"""Changes of each kind of counting that a run makes at least."""
BETWEEN_S = (2.0, 5.0)
Violations = Iterator[str]


class CampaignTermsLoad:
    """Changes the limit of the campaign, and which uses it counts, at a slow pace until it is stopped."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack = stack
        self.changes: Counter[str] = Counter()
        self.defects: list[str] = []
        ends_at = (datetime.now(UTC) + timedelta(days=20)).isoformat()
        terms = {"max_uses": LIMITS[0], "max_per_person": 1, "person_rule": "mailbox", "ends_at": ends_at}
        self._campaign = self._ask("POST", "/api/v1/campaigns", {"name": "One inbox", **terms})
        body = {"count": CODES, "max_uses": None, "open": True, "campaign": self._campaign["id"]}
        _, issued = stack.call_until_answered("POST", "/api/v1/codes", body, stack.admin)
        self.codes = [str(each["code"]) for each in issued]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(random.Random(seed),), daemon=True)
        self._thread.start()

    @property
    def campaign_id(self) -> str:
        return str(self._campaign["id"])

    def stop(self) -> None:
        """End the change that is in progress, once each counting was chosen often enough."""
        self._stopping.set()
        self._thread.join(2 * WAIT_S_MAX)

    def count_uses(self) -> int:
        return int(self._ask("GET", f"/api/v1/campaigns/{self.campaign_id}")["counted"])

    def _run(self, choice: random.Random) -> None:
        while not self._stopping.is_set() or min(self.changes[each] for each in COUNTINGS) < CHANGES_MIN:
            pause(choice, BETWEEN_S, self._stopping)
            counting = min(COUNTINGS, key=lambda each: (self.changes[each], choice.random()))
            body = {"max_uses": choice.choice(LIMITS), "counting": counting}
            if not self._ask("PATCH", f"/api/v1/campaigns/{self.campaign_id}", body):
                return
            self.changes[counting] += 1

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the document that an answer has; nothing after a refusal, which is a defect here."""
        status, answer = self._stack.call_until_answered(method, path, body, self._stack.admin)
        if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return dict(answer)
        self.defects.append(f"{status} {str(answer)[:300]} for {method} {path}")
        return {}


class CampaignCount(NamedTuple):
    """What a campaign counted at the end: by the API, and whom clients redeemed for, by reservation."""

    campaign_id: str
    uses: int
    people: Mapping[str, str]


def observe_count(load: CampaignTermsLoad, acks: Sequence[Acknowledgement]) -> CampaignCount:
    return CampaignCount(
        load.campaign_id, load.count_uses(), {ack.reservation_id: find_person(ack.email) for ack in acks}
    )


def find_miscounted_uses(seen: CampaignCount, facts: Sequence[LogFact]) -> Violations:
    """Yield each use beyond the limit of its time, each second one of an inbox, and what the count lacks at the end."""
    stream = sorted((fact for fact in facts if fact.code_id == seen.campaign_id), key=lambda fact: fact.version)
    limit, since, counted = 0, "", dict[str, str]()
    for fact in stream:
        reservation_id = fact.reservation_id
        if fact.kind in {"CampaignCreated", "CampaignTermsChanged"}:
            limit = int(fact.data["max_uses"])
            if counting := fact.data.get("counting"):
                counted, since = {}, _time_of(fact) if counting == "from_now" else ""
        elif fact.kind == "CampaignUseTaken":
            person = seen.people.get(reservation_id, reservation_id)
            if not fact.data.get("reserved_at"):
                if len(counted) >= limit:
                    yield f"campaign: {reservation_id} took a use beyond {limit} at version {fact.version}"
                if person in counted.values():
                    yield f"campaign: {person} took a second use at version {fact.version}"
            counted[reservation_id] = person
        elif fact.kind == "CampaignUseReturned" and counted.pop(reservation_id, None) is None:
            yield f"campaign: {reservation_id} returned a use that was not counted at version {fact.version}"
    expected = {key for key, at in _find_uses(seen.campaign_id, facts).items() if at >= since}
    if counted.keys() != expected or seen.uses != len(expected):
        yield (
            f"campaign: its codes have {len(expected)} uses that count, its stream {len(counted)}, the API says"
            f" {seen.uses}; they differ in {sorted(counted.keys() ^ expected)}"
        )


def _find_uses(campaign_id: str, facts: Sequence[LogFact]) -> dict[str, str]:
    """Return when the reserved and counted uses of the codes of a campaign were reserved, by reservation."""
    issued = [fact for fact in facts if fact.kind == "CodeIssued" and str(fact.data.get("campaign_id")) == campaign_id]
    codes, reserved, uses = {fact.code_id for fact in issued}, dict[str, str](), dict[str, str]()
    for fact in sorted(facts, key=lambda fact: (fact.code_id, fact.version)):
        if fact.code_id not in codes:
            continue
        if fact.kind == "UseReserved":
            reserved[fact.reservation_id] = uses[fact.reservation_id] = _time_of(fact)
        elif fact.kind == "UseRefunded":
            uses.pop(fact.reservation_id, None)
        elif fact.kind == "LateSuccessRecorded" and fact.data["effect"] == "retaken":
            uses[fact.reservation_id] = reserved[fact.reservation_id]
    return uses


def _time_of(fact: LogFact) -> str:
    return datetime.fromisoformat(str(fact.data["at"])).astimezone(UTC).isoformat(timespec="microseconds")
