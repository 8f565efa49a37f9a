"""Observing the log while it is folded, and the error that stops a fold."""

from typing import NamedTuple, Protocol
from uuid import UUID

from domain.events.event import Event
from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from projections.database.copy_reader import StoredRow
from projections.replay.findings import Findings, RuleViolation


class ReadEvent(NamedTuple):
    """An event with its position, stream and version."""

    position: int
    code_id: UUID
    version: int
    event: Event


class UndecodableEventError(Exception):
    """An event of the log cannot be decoded or cannot follow the one before it. The message names it and why."""

    def __init__(self, stored: StoredRow, reason: str) -> None:
        stream, self.version, self.position, self.topic, _ = self.stored = stored
        self.code_id, self.reason = UUID(bytes=stream), reason
        super().__init__(
            f"stream {self.code_id} version {self.version} (position {self.position}, topic {self.topic}): {reason}"
        )


class FoldObserver(Protocol):
    """Observes the log while it is folded.

    Attributes:
        is_active: Whether it wants single events; if not, only `report_undecodable` and `is_stopped` are called.
    """

    is_active: bool

    def check_stored(self, stored: StoredRow) -> None:
        """Check the stored form of an event."""

    def observe_code(self, at: ReadEvent, before: RedeemCode | None, after: RedeemCode) -> None:
        """Check one event with its code before and after it."""

    def observe_reservation(self, at: ReadEvent, before: Reservation | None, after: Reservation) -> None:
        """Check one event of a reservation with the reservation before and after it."""

    def observe_campaign(self, at: ReadEvent, before: Campaign | None, after: Campaign) -> None:
        """Check one event of a campaign with the campaign before and after it."""

    def observe_end(self, last: ReadEvent) -> None:
        """Check the end of a stream, all of whose events were folded."""

    def report_undecodable(self, error: UndecodableEventError) -> None:
        """Take an event that stops its stream; raise it to stop everything."""

    def is_stopped(self, code_id: UUID) -> bool:
        """Return whether an event has stopped this stream."""

    def add_finding(self, finding: RuleViolation) -> None:
        """Take something that was found outside the folding."""

    def merge(self, findings: Findings) -> None:
        """Take what an observer in another process found."""


class NullObserver:
    """Checks nothing and stops at the first event that cannot be decoded."""

    is_active = False

    def check_stored(self, stored: StoredRow) -> None:
        """Do nothing."""

    def observe_code(self, at: ReadEvent, before: RedeemCode | None, after: RedeemCode) -> None:
        """Do nothing."""

    def observe_reservation(self, at: ReadEvent, before: Reservation | None, after: Reservation) -> None:
        """Do nothing."""

    def observe_campaign(self, at: ReadEvent, before: Campaign | None, after: Campaign) -> None:
        """Do nothing."""

    def observe_end(self, last: ReadEvent) -> None:
        """Do nothing."""

    def report_undecodable(self, error: UndecodableEventError) -> None:
        """Stop everything."""
        raise error

    def is_stopped(self, code_id: UUID) -> bool:
        """Return False: a stream that stops, stops everything."""
        del code_id
        return False

    def add_finding(self, finding: RuleViolation) -> None:
        """Fail: nothing is checked."""
        raise AssertionError(finding)

    def merge(self, findings: Findings) -> None:
        """Fail: nothing is checked."""
        raise AssertionError(findings)


class Progress(Protocol):
    """Shows how far a long operation is."""

    def step(self, name: str, total: int) -> None:
        """Begin another step, with the number of events to read, or 0 where there is nothing to count."""

    def at(self, events: int, position: int) -> None:
        """Show how many events of this step are read, and the highest position among them."""
