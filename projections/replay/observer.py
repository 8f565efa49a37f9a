"""Who looks on while the log is folded, and what stops it."""

from typing import NamedTuple, Protocol
from uuid import UUID

from domain.events import Event
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation
from projections.database.copy_reader import StoredRow
from projections.replay.findings import Finding, Findings


class ReadEvent(NamedTuple):
    """An event with its place."""

    position: int
    code_id: UUID
    version: int
    event: Event


class UndecodableEventError(Exception):
    """An event of the log can't be read, or can't follow the one before it. Says which, and why."""

    def __init__(self, stored: StoredRow, why: str) -> None:
        stream, self.version, self.position, self.topic, _ = self.stored = stored
        self.code_id, self.why = UUID(bytes=stream), why
        super().__init__(
            f"stream {self.code_id} version {self.version} (position {self.position}, topic {self.topic}): {why}"
        )


class Watch(Protocol):
    """Who looks on while the log is folded.

    Attributes:
        looks: Whether single events are looked at; if not, only `poison` and `is_stopped` are asked.
    """

    looks: bool

    def state(self, stored: StoredRow) -> None:
        """What is stored of an event."""

    def code_event(self, at: ReadEvent, before: RedeemCode | None, after: RedeemCode) -> None:
        """One event, and its code before and after it."""

    def item_event(self, at: ReadEvent, before: Reservation | None, after: Reservation) -> None:
        """One event of a reservation, and the reservation before and after it."""

    def poison(self, error: UndecodableEventError) -> None:
        """An event that stops its stream; raise it to stop everything."""

    def is_stopped(self, code_id: UUID) -> bool:
        """Whether an event has stopped this stream."""

    def keep(self, finding: Finding) -> None:
        """Something that was found beside the folding."""

    def merge(self, findings: Findings) -> None:
        """What a watch in another process found."""


class NullObserver:
    """Looks at nothing and stops at the first event that can't be read."""

    looks = False

    def state(self, stored: StoredRow) -> None:
        """Nothing."""

    def code_event(self, at: ReadEvent, before: RedeemCode | None, after: RedeemCode) -> None:
        """Nothing."""

    def item_event(self, at: ReadEvent, before: Reservation | None, after: Reservation) -> None:
        """Nothing."""

    def poison(self, error: UndecodableEventError) -> None:
        """Stop."""
        raise error

    def is_stopped(self, code_id: UUID) -> bool:
        """Never: everything is stopped."""
        del code_id
        return False

    def keep(self, finding: Finding) -> None:
        """Never: nothing is checked."""
        raise AssertionError(finding)

    def merge(self, findings: Findings) -> None:
        """Never: nothing is checked."""
        raise AssertionError(findings)


class Progress(Protocol):
    """Who is told how far it is."""

    def step(self, name: str, total: int) -> None:
        """Another step begins: with so many events to read, or 0 where there is nothing to count."""

    def at(self, events: int, position: int) -> None:
        """So many events of this step are read; the highest position among them."""
