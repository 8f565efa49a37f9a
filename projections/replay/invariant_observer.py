"""The invariants of docs/rules.md over a log that is being folded: who breaks them, by stream, version and type."""

import re
from collections import Counter
from typing import cast
from uuid import UUID

from domain.events import ReservationEvent
from domain.model.invariants import Corrections, find_broken_code_rules, find_broken_reservation_rules
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from domain.values.group_name import ADDRESS
from projections.database.copy_reader import StoredRow
from projections.replay.findings import FINDINGS_MAX, Finding, Findings
from projections.replay.observer import ReadEvent, UndecodableEventError

NO_ADDRESS = "invariant 9: no clear address in an event"
READABLE = "event log: every event can be read and follows"
_ADDRESS = re.compile(ADDRESS.encode())


class InvariantObserver:
    """Checks every event; keeps the first findings and counts all."""

    looks = True

    def __init__(self, kept_max: int = FINDINGS_MAX) -> None:
        self._kept_max = kept_max
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self.stopped: set[UUID] = set()
        self._corrections = Corrections()

    def state(self, stored: StoredRow) -> None:
        """No event holds an e-mail address; few hold the sign at all, so the pattern is tried on few."""
        if b"@" in stored[4] and _ADDRESS.search(stored[4]):
            stream, version, position, topic, _ = stored
            self.keep(Finding(NO_ADDRESS, UUID(bytes=stream), version, position, topic.partition(":")[0], None))

    def code_event(self, at: ReadEvent, before: RedeemCode | None, after: RedeemCode) -> None:
        """The rules of a code."""
        for rule in find_broken_code_rules(before, at.event, after):
            about = at.event.reservation_id if isinstance(at.event, ReservationEvent) else None
            self.keep(Finding(rule, at.code_id, at.version, at.position, type(at.event).__name__, about))

    def item_event(self, at: ReadEvent, before: Reservation | None, after: Reservation) -> None:
        """The rules of a reservation."""
        event = cast("ReservationEvent", at.event)
        broken = [
            *find_broken_reservation_rules(before, event, after),
            *self._corrections.find_broken_rules(before, event, after),
        ]
        for rule in broken:
            self.keep(Finding(rule, at.code_id, at.version, at.position, type(event).__name__, event.reservation_id))

    def poison(self, error: UndecodableEventError) -> None:
        """Kept as a finding; the other streams are still checked."""
        self.stopped.add(error.code_id)
        kind = error.topic.partition(":")[0]
        self.keep(Finding(READABLE, error.code_id, error.version, error.position, kind, None, error.why))

    def is_stopped(self, code_id: UUID) -> bool:
        """Whether an event of this stream can't be read: then nothing can be said about its rows."""
        return code_id in self.stopped

    def keep(self, finding: Finding) -> None:
        """Count it, and keep it while there is room."""
        self.counts[finding.rule] += 1
        if len(self.findings) < self._kept_max:
            self.findings.append(finding)

    def take(self) -> Findings | None:
        """Everything found since the last time, if anything was."""
        if not self.counts:
            return None
        taken = Findings(self.findings, dict(self.counts), sorted(self.stopped))
        self.findings, self.counts, self.stopped = [], Counter(), set()
        return taken

    def merge(self, taken: Findings) -> None:
        """What another watch found."""
        self.findings += taken.kept[: self._kept_max - len(self.findings)]
        self.counts.update(taken.counts)
        self.stopped.update(taken.stopped)
