"""Crossed thresholds: what the events of one commit reach that was not reached before is an event of that commit.

Each event that reaches a threshold is followed by one that reports it, and so is the next one after the uses fell
below it. Nothing is stored for that: it follows from the state before and after each event.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.events.campaign import CampaignEvent, CampaignThresholdReached, CampaignUseEvent
from domain.events.code import CodeThresholdReached
from domain.events.event import Event
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode

CROSSING_RULE: Final = "thresholds: each crossing is reported once, with its use"


class CrossedThreshold(NamedTuple):
    """A threshold that was crossed, such as `80%` or `10 left`; of a campaign, or of a code (None)."""

    threshold: str
    campaign_id: UUID | None


def find_crossed(before: RedeemCode | Campaign | None, after: RedeemCode | Campaign) -> tuple[str, ...]:
    """Return the thresholds that are reached after an event and were not before it, in order."""
    if after.terms.notify_at is None:
        return ()
    reached = () if before is None else before.reached_thresholds
    return tuple(threshold for threshold in after.reached_thresholds if threshold not in reached)


def report_code_crossings(before: RedeemCode | None, event: Event, after: RedeemCode) -> list[CodeThresholdReached]:
    """Return the events that report which thresholds of a code an event crosses."""
    crossed = find_crossed(before, after)
    shared = _shared_fields(event, after.version) if crossed else {}
    return [CodeThresholdReached(**shared, threshold=threshold) for threshold in crossed]


def report_campaign_crossings(
    before: Campaign | None, event: CampaignEvent, after: Campaign
) -> list[CampaignThresholdReached]:
    """Return the events that report which thresholds of a campaign an event crosses."""
    crossed = find_crossed(before, after)
    shared = _shared_fields(event, after.version) if crossed else {}
    code_id = event.code_id if isinstance(event, CampaignUseEvent) else None
    return [CampaignThresholdReached(**shared, code_id=code_id, threshold=threshold) for threshold in crossed]


def _shared_fields(event: Event, version: int) -> dict[str, Any]:
    return {
        "at": event.at,
        "recorded_at": event.recorded_at,
        "actor": event.actor,
        "actor_id": event.actor_id,
        "approved_by": event.approved_by,
        "request_id": event.request_id,
        "correlation_id": event.correlation_id,
        "caused_by": version,
        "crossed_by": event.named_reservation,
    }


@dataclass
class Crossings:
    """The crossings of one stream that no event has reported yet: none is left when its stream ends.

    Streams without thresholds take no memory.
    """

    _pending: dict[tuple[int | None, str], Event] = field(default_factory=dict, init=False)

    def find_broken_rules(
        self, before: RedeemCode | Campaign | None, event: Event, after: RedeemCode | Campaign
    ) -> list[str]:
        """Return the names of the rules that one event breaks. Events of a stream come in order."""
        if isinstance(event, CodeThresholdReached | CampaignThresholdReached):
            cause = self._pending.pop((event.caused_by, event.threshold), None)
            is_due = cause is not None and cause.at == event.at and cause.named_reservation == event.crossed_by
            return [] if is_due else [CROSSING_RULE]
        for threshold in find_crossed(before, after):
            self._pending[after.version, threshold] = event
        return []

    def end_stream(self) -> list[str]:
        """Return the names of the rules that the end of a stream breaks, and begin with the next stream."""
        is_broken = bool(self._pending)
        self._pending.clear()
        return [CROSSING_RULE] if is_broken else []
