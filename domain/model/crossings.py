"""Crossed thresholds: what the events of one commit reach that was not reached before is an event of that commit.

Each event that reaches a threshold is followed by one that reports it, and so is the next one after the uses fell
below it. Nothing is stored for that: it follows from the state before and after each event. A threshold before the end
is reached by the first event from its time on: if nothing else happens, that is the report itself.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from domain.events.campaign import CampaignEvent, CampaignThresholdReached, CampaignUseEvent
from domain.events.code import CodeThresholdReached
from domain.events.event import Event
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.values.limits.thresholds import is_before_end

CROSSING_RULE: Final = "thresholds: each crossing is reported once, with its use"


class CrossedThreshold(NamedTuple):
    """A threshold that was crossed, such as `80%` or `7 days`; of a campaign, or of a code (None)."""

    threshold: str
    campaign_id: UUID | None


def find_crossed(before: RedeemCode | Campaign | None, after: RedeemCode | Campaign) -> tuple[str, ...]:
    """Return the thresholds that are reached after an event and were not before it, in order."""
    if after.terms.notify_at is None:
        return ()
    reached = () if before is None else before.reached_thresholds
    return tuple(threshold for threshold in after.reached_thresholds if threshold not in reached)


def find_reached_by(state: RedeemCode | Campaign, at: datetime) -> str | None:
    """Return the first threshold that a code or campaign reaches by time alone, if its next event takes effect then."""
    return next(iter(find_crossed(state, replace(state, last_at=at))), None)


def report_code_crossings(before: RedeemCode | None, event: Event, after: RedeemCode) -> list[CodeThresholdReached]:
    """Return the events that report which thresholds of a code an event crosses."""
    crossed = _find_unreported(before, event, after)
    shared = fields_of_follower(event, after.version) if crossed else {}
    return [
        CodeThresholdReached(**shared, crossed_by=_find_use(threshold, event), threshold=threshold)
        for threshold in crossed
    ]


def delay_report(report: CodeThresholdReached, not_before: datetime) -> CodeThresholdReached:
    """Return a report that takes effect no earlier than the events between its cause and itself.

    An import records uses of the past and what it decides now in one commit.
    """
    if report.at >= not_before:
        return report
    recorded_at = report.recorded_at or report.at
    return replace(report, at=not_before, recorded_at=None if recorded_at == not_before else recorded_at)


def report_campaign_crossings(
    before: Campaign | None, event: CampaignEvent, after: Campaign
) -> list[CampaignThresholdReached]:
    """Return the events that report which thresholds of a campaign an event crosses."""
    crossed = _find_unreported(before, event, after)
    shared = fields_of_follower(event, after.version) if crossed else {}
    code_id = event.code_id if isinstance(event, CampaignUseEvent) else None
    return [
        CampaignThresholdReached(
            **shared,
            crossed_by=_find_use(threshold, event),
            code_id=None if is_before_end(threshold) else code_id,
            threshold=threshold,
        )
        for threshold in crossed
    ]


def _find_unreported(
    before: RedeemCode | Campaign | None, event: Event, after: RedeemCode | Campaign
) -> tuple[str, ...]:
    """Return the thresholds that an event crosses, without the one that it reports itself."""
    crossed = find_crossed(before, after)
    if crossed and isinstance(event, CodeThresholdReached | CampaignThresholdReached):
        return tuple(threshold for threshold in crossed if threshold != event.threshold)
    return crossed


def _find_use(threshold: str, event: Event) -> UUID | None:
    """Return the reservation whose use crossed a threshold; None if time did."""
    return None if is_before_end(threshold) else event.named_reservation


def fields_of_follower(event: Event, version: int) -> dict[str, Any]:
    """Return the fields that an event shares with one of the same stream that it follows from."""
    return {
        "at": event.at,
        "recorded_at": event.recorded_at,
        "actor": event.actor,
        "actor_id": event.actor_id,
        "approved_by": event.approved_by,
        "request_id": event.request_id,
        "correlation_id": event.correlation_id,
        "caused_by": version,
    }


@dataclass
class Crossings:
    """The crossings of one stream that no event has reported yet: none is left when its stream ends.

    A threshold that time has reached is left only by other terms, so it is not crossed again before. Streams without
    thresholds take no memory.
    """

    _pending: dict[tuple[int | None, str], Event] = field(default_factory=dict, init=False)
    _passed: set[str] = field(default_factory=set, init=False)
    _latest_at: datetime | None = field(default=None, init=False)

    def find_broken_rules(
        self, before: RedeemCode | Campaign | None, event: Event, after: RedeemCode | Campaign
    ) -> list[str]:
        """Return the names of the rules that one event breaks. Events of a stream come in order."""
        broken = self._find_repeated(before, event, after)
        for threshold in _find_unreported(before, event, after):
            self._pending[after.version, threshold] = event
        if not isinstance(event, CodeThresholdReached | CampaignThresholdReached):
            return broken
        if event.caused_by is None:
            is_due = event.crossed_by is None and event.threshold in find_crossed(before, after)
        else:
            cause = self._pending.pop((event.caused_by, event.threshold), None)
            is_named = cause is not None and _find_use(event.threshold, cause) == event.crossed_by
            is_due = is_named and cause is not None and cause.at <= event.at
        return broken if is_due else [CROSSING_RULE]

    def _find_repeated(
        self, before: RedeemCode | Campaign | None, event: Event, after: RedeemCode | Campaign
    ) -> list[str]:
        """Return the rule if an event crosses what time had reached before: only a log whose time goes back has one."""
        if after.terms.notify_at is None:
            self._passed.clear()
            return []
        self._latest_at = event.at if self._latest_at is None else max(self._latest_at, event.at)
        crossed = {threshold for threshold in find_crossed(before, after) if is_before_end(threshold)}
        self._passed &= {*replace(after, last_at=self._latest_at).reached_thresholds}
        is_repeated = bool(crossed & self._passed)
        self._passed |= crossed
        return [CROSSING_RULE] if is_repeated else []

    def end_stream(self) -> list[str]:
        """Return the names of the rules that the end of a stream breaks, and begin with the next stream."""
        is_broken = bool(self._pending)
        self._pending.clear()
        self._passed.clear()
        self._latest_at = None
        return [CROSSING_RULE] if is_broken else []
