"""Checks of limits of codes and of thresholds, told from the log alone and with other arithmetic."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from typing import Final
from uuid import UUID

from domain.events.campaign import (
    CampaignEnded,
    CampaignTermsChanged,
    CampaignTermsEvent,
    CampaignThresholdReached,
    CampaignUseReturned,
    CampaignUseTaken,
)
from domain.events.code import CodeIssued, CodeRevoked, CodeTermsChanged, CodeThresholdReached, OpeningBalanceImported
from domain.events.code_terms import TermsEvent
from domain.events.event import Event
from domain.events.reservation import LateSuccessRecorded, UseRefunded, UseReserved
from tests.simulation.checks.run_result import RunResult

USES: Final = ("%", "left")
"""How the names of thresholds end that uses reach."""
Crossing = tuple[UUID, str, UUID | None]
"""A stream, one of its thresholds, and the reservation whose use crossed it."""


def find_wrong_crossings(run: RunResult) -> Iterator[str]:
    """What reaches a threshold of a code or campaign that was not reached before is reported, and nothing else is."""
    terms: dict[UUID, TermsEvent | CampaignTermsEvent] = {}
    occupied: Counter[UUID] = Counter()
    reached: defaultdict[UUID, set[str]] = defaultdict(set)
    expected: Counter[Crossing] = Counter()
    reported: Counter[Crossing] = Counter()
    for fact in run.facts:
        stream, event = fact.code_id, fact.event
        if isinstance(event, CodeThresholdReached | CampaignThresholdReached):
            if event.threshold.endswith(USES):
                reported[stream, event.threshold, event.crossed_by] += 1
            continue
        if isinstance(event, CodeIssued | CodeTermsChanged | CampaignTermsEvent):
            terms[stream] = event
        if isinstance(event, CampaignTermsChanged) and event.counting is not None:
            occupied[stream] = 0  # a new count begins
        occupied[stream] += change_of_uses(event)
        now = _find_reached(terms[stream], occupied[stream]) if stream in terms else set()
        for threshold in now - reached[stream]:
            expected[stream, threshold, getattr(event, "reservation_id", None)] += 1
        reached[stream] = now
    for stream, threshold, use in expected - reported:
        yield f"{use} crossed {threshold} of {stream}, and no event reports it"
    for stream, threshold, use in reported - expected:
        yield f"{threshold} of {stream} is reported, and {use} did not cross it"


def find_wrong_reports_of_ends(run: RunResult) -> Iterator[str]:
    """A threshold before an end is reported once when its time has come, and again only if the end moved beyond it."""
    terms: dict[UUID, TermsEvent | CampaignTermsEvent] = {}
    expected: Counter[Crossing] = Counter()
    reported: Counter[Crossing] = Counter()
    passed: defaultdict[UUID, set[str]] = defaultdict(set)
    for fact in run.facts:
        stream, event = fact.code_id, fact.event
        if isinstance(event, CodeThresholdReached | CampaignThresholdReached) and not event.threshold.endswith(USES):
            reported[stream, event.threshold, event.crossed_by] += 1
        if isinstance(event, CodeIssued | CodeTermsChanged | CampaignTermsEvent):
            terms[stream] = event
        if isinstance(event, CodeRevoked | CampaignEnded):
            terms.pop(stream)
        if stream in terms:
            now = _find_passed(terms[stream], event.at)
            expected.update((stream, threshold, None) for threshold in now - passed[stream])
            passed[stream] = now
    for stream, own in terms.items() if run.ended_at else ():
        expected.update((stream, threshold, None) for threshold in _find_passed(own, run.ended_at) - passed[stream])
    for stream, threshold, _ in expected - reported:
        yield f"{threshold} of {stream} has come, and no event reports it"
    for stream, threshold, use in reported - expected:
        yield f"{threshold} of {stream} is reported although it was before, or has not come, with {use}"


def find_uses_beyond_limits_of_codes(run: RunResult) -> Iterator[str]:
    """Invariant 1: no use of a code is granted beyond the limit in force; those that a new limit is below stay."""
    limits: dict[UUID, int | None] = {}
    occupied: Counter[UUID] = Counter()
    for fact in run.facts:
        event, before = fact.event, occupied[fact.code_id]
        occupied[fact.code_id] += change_of_uses(event)
        if isinstance(event, CodeIssued | CodeTermsChanged):
            limits[fact.code_id] = event.max_uses
            limit = event.max_uses
            if isinstance(event, CodeTermsChanged) and event.counting == "from_now" and (limit or 0) <= before:
                yield f"code {fact.code_id}: no further use is left by a limit from now on"
        is_moved = isinstance(event, UseReserved) and event.corrects is not None
        limit = limits.get(fact.code_id)
        if limit is not None and occupied[fact.code_id] > max(limit, before) and not is_moved:
            yield f"code {fact.code_id} has {occupied[fact.code_id]} uses, and its limit is {limit}"


def change_of_uses(event: Event) -> int:
    """Return how many more uses of a code or campaign are reserved or counted after an event of it."""
    match event:
        case UseReserved() | CampaignUseTaken():
            return 1
        case CampaignUseReturned():
            return -1
        case LateSuccessRecorded():
            return int(event.kind == "redeem" and event.effect == "retaken")
        case UseRefunded():
            return -int(event.kind == "redeem")
        case OpeningBalanceImported():
            return event.uses
        case _:
            return 0


def _find_reached(terms: TermsEvent | CampaignTermsEvent, occupied: int) -> set[str]:
    if terms.notify_at is None or terms.max_uses is None or occupied == 0:
        return set()
    left, used = terms.max_uses - occupied, Fraction(occupied, terms.max_uses)
    return {
        name
        for name in terms.notify_at.split(", ")
        if name.endswith(USES)
        and (used >= Fraction(int(name[:-1]), 100) if name.endswith("%") else left <= int(name.split()[0]))
    }


def _find_passed(terms: TermsEvent | CampaignTermsEvent, at: datetime | None) -> set[str]:
    """Those that say how many days before the end they come, if no more are left."""
    end = terms.expires_at if isinstance(terms, TermsEvent) else terms.ends_at
    if terms.notify_at is None or end is None or at is None:
        return set()
    names = [name for name in terms.notify_at.split(", ") if not name.endswith(USES)]
    return {name for name in names if (end - at).total_seconds() <= int(name.replace("end", "0").split()[0]) * 86_400}
