"""Checking the invariants of docs/reference/rules.md while the log is folded."""

import re
from collections import Counter
from typing import cast
from uuid import UUID

import msgspec

from domain.events.campaign import CampaignEvent
from domain.events.reservation import ReservationEvent
from domain.model.campaign import Campaign, OccupiedUses, find_broken_campaign_rules
from domain.model.crossings import Crossings
from domain.model.invariants import Corrections, find_broken_code_rules, find_broken_reservation_rules
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.values.group_name import ADDRESS
from projections.database.copy_reader import StoredRow
from projections.event_store.stored_state import JSON_BEGINS, read_fields
from projections.replay.findings import FINDINGS_MAX, Findings, RuleViolation
from projections.replay.observer import ReadEvent, UndecodableEventError

NO_ADDRESS = "invariant 9: no clear address in an event"
READABLE = "event log: every event can be read and follows"
_ADDRESS = re.compile(ADDRESS.encode())


class InvariantObserver:
    """Checks every event; lists the first violations and counts all."""

    is_active = True

    def __init__(self, listed_max: int = FINDINGS_MAX) -> None:
        self._listed_max = listed_max
        self.findings: list[RuleViolation] = []
        self.counts: Counter[str] = Counter()
        self.stopped: set[UUID] = set()
        self._corrections = Corrections()
        self._occupied_uses = OccupiedUses()
        self._crossings = Crossings()

    def check_stored(self, stored: StoredRow) -> None:
        """Check that no event holds an email address. Few hold an @ at all, so the pattern is tried on few."""
        if b"@" in stored[4] and _ADDRESS.search(stored[4]) and _has_address(stored[4]):
            stream, version, position, topic, _ = stored
            self.add_finding(
                RuleViolation(NO_ADDRESS, UUID(bytes=stream), version, position, topic.partition(":")[0], None)
            )

    def observe_code(self, at: ReadEvent, before: RedeemCode | None, after: RedeemCode) -> None:
        """Check the rules of a code."""
        broken = [
            *find_broken_code_rules(before, at.event, after),
            *self._crossings.find_broken_rules(before, at.event, after),
        ]
        for rule in broken:
            self.add_finding(_violation_at(rule, at))

    def observe_reservation(self, at: ReadEvent, before: Reservation | None, after: Reservation) -> None:
        """Check the rules of a reservation."""
        event = cast("ReservationEvent", at.event)
        violated_rules = [
            *find_broken_reservation_rules(before, event, after),
            *self._corrections.find_broken_rules(before, event, after),
        ]
        for rule in violated_rules:
            self.add_finding(_violation_at(rule, at))

    def observe_campaign(self, at: ReadEvent, before: Campaign | None, after: Campaign) -> None:
        """Check the rules of a campaign, and of each person in it."""
        event = cast("CampaignEvent", at.event)
        broken = [
            *find_broken_campaign_rules(before, event, after),
            *self._occupied_uses.find_broken_rules(event, after),
            *self._crossings.find_broken_rules(before, event, after),
        ]
        for rule in broken:
            self.add_finding(_violation_at(rule, at))

    def observe_end(self, last: ReadEvent) -> None:
        """Check the rules that hold at the end of a stream."""
        for rule in self._crossings.end_stream():
            self.add_finding(_violation_at(rule, last))

    def report_undecodable(self, error: UndecodableEventError) -> None:
        """List it as a violation; the other streams are still checked."""
        self.stopped.add(error.code_id)
        kind = error.topic.partition(":")[0]
        self.add_finding(
            RuleViolation(READABLE, error.code_id, error.version, error.position, kind, None, error.reason)
        )

    def is_stopped(self, code_id: UUID) -> bool:
        """Return whether an event of this stream cannot be decoded, so that its rows cannot be checked."""
        return code_id in self.stopped

    def add_finding(self, finding: RuleViolation) -> None:
        """Count a violation, and list it within the bound."""
        self.counts[finding.rule] += 1
        if len(self.findings) < self._listed_max:
            self.findings.append(finding)

    def take(self) -> Findings | None:
        """Return what was found since the last call; None if nothing was."""
        if not self.counts:
            return None
        findings = Findings(self.findings, dict(self.counts), sorted(self.stopped))
        self.findings, self.counts, self.stopped = [], Counter(), set()
        return findings

    def merge(self, findings: Findings) -> None:
        """Take what an observer in another process found."""
        self.findings += findings.listed[: self._listed_max - len(self.findings)]
        self.counts.update(findings.counts)
        self.stopped.update(findings.stopped)


def _violation_at(rule: str, at: ReadEvent) -> RuleViolation:
    event = at.event
    return RuleViolation(rule, at.code_id, at.version, at.position, type(event).__name__, event.named_reservation)


def _has_address(state: bytes) -> bool:
    """Return whether a state whose bytes match has an address in a text: bytes of ids and times match by chance."""
    if state[:1] == JSON_BEGINS:
        return True
    try:
        fields = read_fields(state)
    except (msgspec.DecodeError, ValueError):
        return True
    return _ADDRESS.search(msgspec.json.encode(fields)) is not None
