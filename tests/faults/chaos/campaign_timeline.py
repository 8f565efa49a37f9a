"""What the log says of a campaign after each event, and whether what clients were told was true while they waited.

Its rules share nothing with the code that it checks.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

import psycopg

from projections.event_store.stored_state import read_fields

COMMIT_S_MAX = 5.0
"""An event is visible at most so long after its own time, on a machine under load."""
EVENTS = """
    SELECT e.originator_id::text, e.topic, e.state FROM ledger_events e
    WHERE e.originator_id IN (SELECT code_id FROM code_balances WHERE campaign_id = %(campaign)s)
        OR e.originator_id = %(campaign)s
    ORDER BY e.notification_id
"""
LIMITS = "SELECT code_id::text, max_uses FROM code_balances WHERE campaign_id = %s"


class Refusal(NamedTuple):
    """What a client was told, for which code and email address, and when it asked and got the answer (Unix time)."""

    word: str
    code: str
    email: str
    asked_at: float
    answered_at: float


class Balance(NamedTuple):
    used: int = 0
    reserved: int = 0

    @property
    def occupied(self) -> int:
        return self.used + self.reserved


class Series:
    """A balance after each event that changed it."""

    def __init__(self) -> None:
        self._positions, self._balances = [0], [Balance()]

    @property
    def last(self) -> Balance:
        return self._balances[-1]

    @property
    def most(self) -> int:
        return max(balance.occupied for balance in self._balances)

    def add(self, position: int, used: int, reserved: int) -> None:
        self._positions.append(position)
        self._balances.append(Balance(self.last.used + used, self.last.reserved + reserved))

    def between(self, first: int, last: int) -> Sequence[Balance]:
        """Every balance from after one event until after another."""
        return self._balances[bisect_right(self._positions, first) - 1 : bisect_right(self._positions, last)]


@dataclass(slots=True)
class Timeline:
    """Balances of the campaign, its codes and its real persons; `returned`: uses that it got back.

    `line` has those who wait as uses that are counted. `campaign_events` are those of the campaign's stream.
    """

    limits: Mapping[str, int | None]
    campaign: Series = field(default_factory=Series)
    codes: dict[str, Series] = field(default_factory=lambda: defaultdict(Series))
    people: dict[str, Series] = field(default_factory=lambda: defaultdict(Series))
    line: Series = field(default_factory=Series)
    campaign_events: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    recipients: dict[str, str] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    @property
    def returned(self) -> int:
        return self.events["UseRefunded"]

    def find_window(self, refusal: Refusal) -> tuple[int, int]:
        """Return the first and the last event after which the refusal may have been decided."""
        latest = list(accumulate(self.times, max))
        return (
            bisect_left(latest, refusal.asked_at - COMMIT_S_MAX),
            bisect_right(latest, refusal.answered_at + COMMIT_S_MAX),
        )


def find_person(email: str) -> str:
    """Return the inbox that an address reaches at a provider with tags."""
    name, _, domain = email.lower().partition("@")
    return f"{name.partition('+')[0]}@{domain}"


def read_timeline(database_url: str, campaign_id: str, reservations: Mapping[str, str]) -> Timeline:
    """Read the events of a campaign's codes, in the order of the log; emails by acknowledged reservation are given."""
    with psycopg.connect(database_url, connect_timeout=5) as conn:
        timeline = Timeline(dict(conn.execute(LIMITS, (campaign_id,)).fetchall()))
        rows = conn.execute(EVENTS, {"campaign": campaign_id}).fetchall()
    waiting: set[str] = set()
    for position, (stream, topic, state) in enumerate(rows, 1):
        kind, data = topic.partition(":")[0], read_fields(state)
        timeline.events[kind] += 1
        timeline.times.append(datetime.fromisoformat(str(data.get("recorded_at") or data["at"])).timestamp())
        if stream == campaign_id:
            timeline.campaign_events.append((kind, data))
            _follow_line(timeline, waiting, position, kind, data)
        change = _find_change(kind, data)
        if change is None:
            continue
        reservation_id = str(data["reservation_id"])
        if kind == "UseReserved":
            timeline.recipients[reservation_id] = str(data["recipient_id"])
        person = timeline.people[find_person(reservations.get(reservation_id, reservation_id))]
        for series in (timeline.campaign, timeline.codes[stream], person):
            series.add(position, *change)
    return timeline


def _follow_line(timeline: Timeline, waiting: set[str], position: int, kind: str, data: Mapping[str, object]) -> None:
    """Note how many people wait after an event of the campaign."""
    before, recipient = len(waiting), str(data.get("recipient_id"))
    if kind == "WaitingListJoined":
        waiting.add(recipient)
    elif kind == "WaitingPlaceRespelled":
        waiting.discard(str(data["former_id"]))
        waiting.add(recipient)
    elif kind in {"WaitingListLeft", "CampaignUseTaken"}:
        waiting.discard(recipient)
    if len(waiting) != before:
        timeline.line.add(position, len(waiting) - before, 0)


def _find_change(kind: str, data: Mapping[str, object]) -> tuple[int, int] | None:
    if kind == "UseReserved":
        return 0, 1
    if kind == "InviteSent" and data.get("delivery", 1) == 1:
        return 1, -1
    if kind == "LateSuccessRecorded" and data["effect"] == "retaken":
        return 1, 0
    if kind == "UseRefunded":
        return (-1, 0) if data["held"] == "used" else (0, -1)
    return None


def find_untrue_statements(
    timeline: Timeline,
    limit: int,
    codes: Mapping[str, str],
    reservations: Mapping[str, str],
    refusals: Sequence[Refusal],
) -> Iterator[str]:
    """Yield each broken limit, and each refusal that was at no time true while its client waited."""
    if timeline.campaign.most > limit:
        yield f"the campaign had {timeline.campaign.most} uses"
    yield from (f"{key} had {each.most} uses" for key, each in timeline.people.items() if each.most > 1)
    uses, returned = timeline.events["CampaignUseTaken"], timeline.events["CampaignUseReturned"]
    if uses - returned != timeline.campaign.last.occupied:
        yield f"the campaign's stream has {uses - returned} uses, its codes {timeline.campaign.last.occupied}"
    yield from find_overtaken(timeline, limit)
    yield from find_miscounted_reports(timeline, limit)
    people: dict[str, str] = {}
    for reservation_id, email in reservations.items():
        if (recipient := timeline.recipients.get(reservation_id)) is None:
            yield f"lost: {reservation_id} was acknowledged and is not in the log"
        elif people.setdefault(email, recipient) != recipient:
            yield f"{email} is two recipients"
    for refusal in refusals:
        first, last = timeline.find_window(refusal)
        code_id = codes[refusal.code]
        campaign, code = timeline.campaign.between(first, last), timeline.codes[code_id].between(first, last)
        person = timeline.people[find_person(refusal.email)].between(first, last)
        is_true = _TRUTHS.get(refusal.word)
        seen = Seen(campaign, limit, max(each.used for each in timeline.line.between(first, last)))
        if is_true is None or not is_true(refusal, seen, Seen(code, timeline.limits[code_id]), Seen(person, 1)):
            yield (
                f"untrue: {refusal.word} for {refusal.email} and {code_id} between {first} and {last}: "
                f"{campaign}, at most {seen.waiting} waiting"
            )


def find_overtaken(timeline: Timeline, limit: int) -> Iterator[str]:
    """Yield each person who took a use that was kept for those who waited longer."""
    line: list[object] = []
    uses = 0
    for kind, data in timeline.campaign_events:
        person = data.get("recipient_id")
        if kind == "WaitingListJoined":
            line.append(person)
        elif kind == "WaitingPlaceRespelled":
            line[line.index(data["former_id"])] = person
        elif kind == "CampaignUseTaken":
            ahead = line.index(person) if person in line else len(line)
            if limit - uses <= ahead:
                yield f"{person} took one of {limit - uses} uses, and {ahead} people waited longer"
            uses += 1
        elif kind == "CampaignUseReturned":
            uses -= 1
        if kind in {"CampaignUseTaken", "WaitingListLeft"} and person in line:
            line.remove(person)


def find_miscounted_reports(timeline: Timeline, limit: int) -> Iterator[str]:
    """Yield each threshold that was not reported as often as the uses crossed it."""
    levels = {"50%": -(-limit // 2), "100%": limit, "5 left": limit - 5}
    crossed: Counter[str] = Counter()
    uses = 0
    for kind, _ in timeline.campaign_events:
        if kind == "CampaignUseTaken":
            crossed.update(name for name, level in levels.items() if uses + 1 == level)
        uses += {"CampaignUseTaken": 1, "CampaignUseReturned": -1}.get(kind, 0)
    reported = Counter(str(data["threshold"]) for kind, data in timeline.campaign_events if "Threshold" in kind)
    if reported != crossed:
        yield f"thresholds were crossed {dict(crossed)} times and reported {dict(reported)} times"


class Seen(NamedTuple):
    """Balances that may have been seen, their limit, and how many people waited at most."""

    balances: Sequence[Balance]
    limit: int | None
    waiting: int = 0

    def was_used_up(self) -> bool:
        return any(balance.used == self.limit for balance in self.balances)

    def was_kept(self, code: "Seen") -> bool:
        """Whether the free uses were kept for those who waited.

        A request returns expired uses of the code that it names. It is decided with them, and a refusal stores none.
        """
        expired = range(max(each.reserved for each in code.balances) + 1)
        lefts = ((self.limit or 0) - each.occupied + freed for each in self.balances for freed in expired)
        return any(1 <= left <= self.waiting for left in lefts)

    def was_held(self) -> bool:
        return any(balance.reserved and balance.occupied == self.limit for balance in self.balances)

    def was_full(self) -> bool:
        return any(balance.occupied == self.limit for balance in self.balances)


_TRUTHS: Mapping[str, Callable[[Refusal, Seen, Seen, Seen], bool]] = {
    "DOMAIN_NOT_ALLOWED": lambda refusal, _campaign, _code, _person: refusal.email.endswith("@elsewhere.example"),
    "CAMPAIGN_EXHAUSTED": lambda _refusal, campaign, code, _person: campaign.was_used_up() or campaign.was_kept(code),
    "CAMPAIGN_HELD": lambda _refusal, campaign, _code, _person: campaign.was_held(),
    "CODE_EXHAUSTED": lambda _refusal, _campaign, code, _person: code.was_used_up(),
    "CODE_HELD": lambda _refusal, _campaign, code, _person: code.was_held(),
    "PERSON_LIMIT": lambda _refusal, _campaign, _code, person: person.was_full(),
}
