"""Reading the whole log and folding it, with flat memory; the events that can't be read or folded.

The log is read stream by stream (the primary key's order), a page at a time, each page one short COPY. Stream by
stream, because a code's sums need its events in order, and then only one code has to be held: by position every
code and every reservation that may still change would have to be. A code with very many reservations is bounded
too: the ones touched longest ago are given out early, and an event that comes to one of them later is handed on
as late (`Sink.late`), to be applied to its row. Short pages, because a snapshot held for minutes would keep the
dead row versions of busy codes from being pruned and slow the redeems.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple, Protocol, cast
from uuid import UUID

from psycopg import Connection

from domain import redeem_code, reservation
from domain.events import CaseClosed, CaseOpened, CodeIssued, Event, ReservationEvent, UseReserved
from domain.redeem_code import RedeemCode
from domain.reservation import Reservation
from projections.codec import UnreadableEventError, decode
from projections.rows import balance_row, case_rows, reservation_row
from projections.sql import QUERIES


class Sizes(NamedTuple):
    """What bounds the memory.

    Attributes:
        page_events: Events read by one COPY.
        held_max: Reservations held of the code at hand; some 1.5 kB each.
        tail_events: Events applied at once to rows that are there.
    """

    page_events: int = 100_000
    held_max: int = 30_000
    tail_events: int = 5_000


SIZES = Sizes()

Key = tuple[UUID, int]
"""Where a page begins: after this stream and version."""
FIRST: Key = (UUID(int=0), 0)

_HEAD = struct.Struct(">hi16siqiqi")
_COPY_HEADER_BYTES = 19
_TRAILER_BYTES = 2


class StoredEvent(NamedTuple):
    """One row of the log, not decoded yet."""

    stream: bytes
    version: int
    position: int
    topic: str
    state: bytes


class ReadEvent(NamedTuple):
    """An event with its place."""

    position: int
    code_id: UUID
    version: int
    event: Event


class PoisonEventError(Exception):
    """An event of the log can't be read, or can't follow the one before it. Says which, and why."""

    def __init__(self, stored: StoredEvent, why: str) -> None:
        self.code_id, self.version = UUID(bytes=stored.stream), stored.version
        self.position, self.topic, self.why = stored.position, stored.topic, why
        super().__init__(
            f"stream {self.code_id} version {self.version} (position {self.position}, topic {self.topic}): {why}"
        )


class Sink(Protocol):
    """Where folded rows go."""

    def row(self, table: str, row: tuple[Any, ...]) -> None:
        """A row as `projections.rows` gives it."""

    def late(self, event: ReadEvent) -> None:
        """An event of a reservation whose row was given out before."""

    def closed(self, row: tuple[Any, ...]) -> None:
        """The end of a case whose row was given out before, as `case_rows` gives it."""


class Watch(Protocol):
    """Who looks on while the log is folded."""

    def code_event(self, at: ReadEvent, before: RedeemCode | None, after: RedeemCode) -> None:
        """One event, and its code before and after it."""

    def item_event(self, at: ReadEvent, before: Reservation | None, after: Reservation) -> None:
        """One event of a reservation, and the reservation before and after it."""

    def poison(self, error: PoisonEventError) -> None:
        """An event that stops its stream; raise it to stop everything."""

    def is_stopped(self, code_id: UUID) -> bool:
        """Whether an event has stopped this stream."""


def read_page(
    conn: Connection[Any], after: Key, until: int, events_max: int = SIZES.page_events, only: UUID | None = None
) -> Iterator[StoredEvent]:
    """One page of the log in order of stream and version.

    Args:
        conn: A connection that does nothing else meanwhile.
        after: Where the last page ended.
        until: Leave out higher positions.
        events_max: Size of a page.
        only: One stream instead of all.
    """
    query = QUERIES["copy_log_page"] if only is None else QUERIES["copy_stream_page"]
    start: tuple[Any, ...] = after if only is None else (only, after[1])
    topics: dict[bytes, str] = {}
    with conn.cursor().copy(query, (*start, until, events_max)) as copy:
        begin = _COPY_HEADER_BYTES
        for block in copy:
            data = bytes(block)[begin:]
            begin = 0
            if len(data) == _TRAILER_BYTES:
                continue
            _, _, stream, _, version, _, position, length = _HEAD.unpack_from(data)
            end = _HEAD.size + length
            raw = data[_HEAD.size : end]
            if (topic := topics.get(raw)) is None:
                topic = topics[raw] = raw.decode()
            yield StoredEvent(stream, version, position, topic, data[end + 4 :])


class LogFold:
    """Folds streams one after the other with the folds of the live path."""

    def __init__(self, sink: Sink, watch: Watch, held_max: int = SIZES.held_max) -> None:
        self._sink, self._watch, self._held_max = sink, watch, held_max
        self._stream = b""
        self._code_id = UUID(int=0)
        self._code: RedeemCode | None = None
        self._last: StoredEvent | None = None
        self._is_broken = False
        self._held: dict[UUID, Reservation] = {}
        self._given_out = False
        self._cases: list[tuple[UUID, Event]] = []

    def add(self, stored: StoredEvent) -> None:
        """One more event, in order of stream and version.

        Raises:
            PoisonEventError: If the watch says so.
        """
        if stored.stream != self._stream:
            self.end_stream()
            self._stream, self._code_id = stored.stream, UUID(bytes=stored.stream)
        if self._is_broken:
            return
        try:
            self._fold(stored)
        except UnreadableEventError as bad:
            self._stop(PoisonEventError(stored, str(bad)), bad)
        except PoisonEventError as bad:
            self._stop(bad, bad)
        self._last = stored

    def end_stream(self) -> None:
        """Give out what is held of the last stream."""
        if self._code is not None and not self._is_broken:
            self._sink.row("code_balances", balance_row(self._code))
            self._give_out(len(self._held))
            self._give_out_cases()
        self._held.clear()
        self._cases.clear()
        self._code, self._last, self._is_broken, self._given_out = None, None, False, False

    def _stop(self, poison: PoisonEventError, cause: Exception) -> None:
        self._is_broken = True
        try:
            self._watch.poison(poison)
        except PoisonEventError as stopped:
            raise stopped from cause

    def _fold(self, stored: StoredEvent) -> None:
        _check_place(self._last, stored)
        event = decode(stored.topic, stored.state)
        at = ReadEvent(stored.position, self._code_id, stored.version, event)
        before = self._code
        try:
            if before is None:
                after = redeem_code.opened(self._code_id, stored.version, cast("CodeIssued", event))
            else:
                after = redeem_code.evolve(before, stored.version, event)
            if isinstance(event, ReservationEvent):
                self._fold_reservation(at, event)
        except (TypeError, ValueError, LookupError, AttributeError) as bad:
            raise PoisonEventError(stored, f"it can't be folded: {bad}") from bad
        self._code = after
        self._watch.code_event(at, before, after)
        if isinstance(event, CaseOpened | CaseClosed):
            self._cases.append((self._code_id, event))

    def _fold_reservation(self, at: ReadEvent, event: ReservationEvent) -> None:
        before = self._held.pop(event.reservation_id, None)
        if before is not None:
            after = reservation.evolve(before, at.version, event)
        elif isinstance(event, UseReserved):
            after = reservation.opened(at.code_id, at.version, event)
        elif self._given_out:
            self._sink.late(at)
            return
        else:
            raise LookupError(f"no event before it opens reservation {event.reservation_id}")
        self._held[event.reservation_id] = after
        self._watch.item_event(at, before, after)
        if len(self._held) > self._held_max:
            self._give_out(len(self._held) // 2)
            self._give_out_cases()
            self._given_out = True

    def _give_out(self, count: int) -> None:
        """Rows of the reservations that were touched longest ago."""
        for key in list(islice(self._held, count)):
            self._sink.row("reservations", reservation_row(self._held.pop(key)))

    def _give_out_cases(self) -> None:
        opened, closed = case_rows(self._cases)
        for row in opened:
            self._sink.row("cases", row)
        for row in closed:
            self._sink.closed(row)
        self._cases.clear()


def _check_place(last: StoredEvent | None, stored: StoredEvent) -> None:
    """A stream begins with CodeIssued at version 1, without gaps, and positions rise with versions."""
    version = last.version if last else 0
    if stored.version != version + 1:
        raise PoisonEventError(stored, f"version {version + 1} is missing before it")
    if last and stored.position <= last.position:
        raise PoisonEventError(stored, f"its position is not after that of the version before it ({last.position})")
    if last is None and not stored.topic.startswith("CodeIssued:"):
        raise PoisonEventError(stored, "a stream must begin with CodeIssued")
