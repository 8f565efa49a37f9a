"""Reading the whole log and folding it, with flat memory; the events that can't be read or folded.

The log is read stream by stream (the primary key's order), a page at a time, each page one short COPY. Stream by
stream, because a code's sums need its events in order, and then only one code has to be held: by position every
code and every reservation that may still change would have to be. A code with very many reservations is bounded
too: the ones touched longest ago are given out early, and an event that comes to one of them later is handed on
as late (`Sink.late`), to be applied to its row. Short pages, because a snapshot held for minutes would keep the
dead row versions of busy codes from being pruned and slow the redeems.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from psycopg import Connection

from domain.events import CaseClosed, CaseOpened, CodeIssued, Event, ReservationEvent, ReservationStarted
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.model.reservation import Reservation, evolve_reservation
from projections.database.copy_reader import StoredRow, read_copied_events
from projections.event_store.codec import UnreadableEventError, decode
from projections.event_store.row_mapping import balance_row, case_rows, reservation_row
from projections.replay.observer import ReadEvent, UndecodableEventError, Watch
from projections.sql.read_models import ReadModelsSql


class MemoryLimits(NamedTuple):
    """What bounds the memory.

    Attributes:
        page_events: Events read by one COPY.
        open_reservations_max: Reservations held of the code at hand; some 1.5 kB each.
        catch_up_events: Events applied at once to rows that are there.
    """

    page_events: int = 100_000
    open_reservations_max: int = 30_000
    catch_up_events: int = 5_000


DEFAULT_LIMITS = MemoryLimits()
_CASES = frozenset({CaseOpened, CaseClosed})


class Streams(NamedTuple):
    """A range of streams by id, both ends in it."""

    first: UUID
    last: UUID


class Sink(Protocol):
    """Where folded rows go."""

    @property
    def rows(self) -> Mapping[str, Callable[[tuple[Any, ...]], object]]:
        """By read model, what takes a row as `row_mapping` gives it; the others are not folded."""

    def late(self, event: ReadEvent) -> None:
        """An event of a reservation whose row was given out before."""

    def closed(self, row: tuple[Any, ...]) -> None:
        """The end of a case whose row was given out before, as `case_rows` gives it."""


def fold_streams(
    conn: Connection[Any],
    fold: "LogFold",
    streams: Streams,
    until: int,
    page_events: int,
    read: Callable[[int], object],
) -> None:
    """Fold a range of streams.

    Args:
        conn: A connection that does nothing else meanwhile.
        fold: Who folds.
        streams: Which.
        until: Leave out higher positions.
        page_events: Events read by one COPY.
        read: Called after each page with the number of its events.

    Raises:
        UndecodableEventError: If the watch says so.
    """
    place: tuple[UUID, int] | None = (streams.first, 0)
    while place is not None:
        params = (*place, streams.last, until, page_events)
        with closing(read_copied_events(conn, ReadModelsSql.copy_log_page, params)) as events:
            count, last = fold.take(events)
        place = (UUID(bytes=last[0]), last[1]) if last is not None and count == page_events else None
        read(count)
    fold.end_stream()


class LogFold:
    """Folds streams one after the other with the folds of the live path."""

    def __init__(
        self, sink: Sink, watch: Watch, open_reservations_max: int = DEFAULT_LIMITS.open_reservations_max
    ) -> None:
        self._sink, self._watch, self._held_max = sink, watch, open_reservations_max
        self._looks = watch.looks
        self._put_code, self._put_item, self._put_case = map(sink.rows.get, ("code_balances", "reservations", "cases"))
        self._folds_codes = self._looks or self._put_code is not None
        self._folds_items = self._looks or self._put_item is not None
        self._stream = b""
        self._code_id = UUID(int=0)
        self._code: RedeemCode | None = None
        self._version = self._position = 0
        self._is_broken = False
        # By the number of the id: an UUID's own hash and equality are written in Python.
        self._held: dict[int, Reservation] = {}
        self._given_out = False
        self._cases: list[tuple[UUID, Event]] = []

    def take(self, events: Iterable[StoredRow]) -> tuple[int, StoredRow | None]:
        """More events, in order of stream and version.

        Returns:
            How many they were, and the last one.

        Raises:
            UndecodableEventError: If the watch says so.
        """
        count, stored = 0, None
        for stored in events:
            count += 1
            if stored[0] != self._stream:
                self.end_stream()
                self._stream, self._code_id = stored[0], UUID(bytes=stored[0])
            if self._looks:
                self._watch.state(stored)
            if self._is_broken:
                continue
            try:
                self._fold(stored)
            except UnreadableEventError as bad:
                self._stop(UndecodableEventError(stored, str(bad)), bad)
            except UndecodableEventError as bad:
                self._stop(bad, bad)
        return count, stored

    def end_stream(self) -> None:
        """Give out what is held of the last stream."""
        if not self._is_broken:
            if self._code is not None and self._put_code:
                self._put_code(balance_row(self._code))
            self._flush_rows(len(self._held))
            self._give_out_cases()
        self._held.clear()
        self._cases.clear()
        self._code, self._version, self._position = None, 0, 0
        self._is_broken = self._given_out = False

    def _stop(self, poison: UndecodableEventError, cause: Exception) -> None:
        self._is_broken = True
        try:
            self._watch.poison(poison)
        except UndecodableEventError as stopped:
            raise stopped from cause

    def _fold(self, stored: StoredRow) -> None:
        _, version, position, topic, state = stored
        if version != self._version + 1 or position <= self._position:
            _check_place(self._version, self._position, stored)
        event = decode(topic, state)
        if version == 1 and not isinstance(event, CodeIssued):
            raise UndecodableEventError(stored, "a stream must begin with CodeIssued")
        try:
            if self._folds_codes:
                self._fold_code(version, position, event)
            if self._folds_items and isinstance(event, ReservationEvent):
                self._fold_reservation(version, position, event)
        except (TypeError, ValueError, LookupError, AttributeError) as bad:
            raise UndecodableEventError(stored, f"it can't be folded: {bad}") from bad
        self._version, self._position = version, position
        if type(event) in _CASES and self._put_case:
            self._cases.append((self._code_id, event))

    def _fold_code(self, version: int, position: int, event: Event) -> None:
        before = self._code
        after = evolve_code(before, self._code_id, version, event)
        if self._looks:
            self._watch.code_event(ReadEvent(position, self._code_id, version, event), before, after)
        self._code = after

    def _fold_reservation(self, version: int, position: int, event: ReservationEvent) -> None:
        key = event.reservation_id.int
        before = self._held.pop(key, None)
        if before is None and self._given_out and not isinstance(event, ReservationStarted):
            self._sink.late(ReadEvent(position, self._code_id, version, event))
            return
        after = evolve_reservation(before, self._code_id, version, event)
        if self._looks:
            self._watch.item_event(ReadEvent(position, self._code_id, version, event), before, after)
        self._held[key] = after
        if len(self._held) > self._held_max:
            self._flush_rows(len(self._held) // 2)
            self._give_out_cases()
            self._given_out = True

    def _flush_rows(self, count: int) -> None:
        """Rows of the reservations that were touched longest ago."""
        put = self._put_item
        for key in list(islice(self._held, count)):
            item = self._held.pop(key)
            if put:
                put(reservation_row(item))

    def _give_out_cases(self) -> None:
        opened, closed = case_rows(self._cases)
        if self._put_case:
            for row in opened:
                self._put_case(row)
        for row in closed:
            self._sink.closed(row)
        self._cases.clear()


def _check_place(version: int, position: int, stored: StoredRow) -> None:
    """A stream has versions from 1 on without gaps, and positions rise with them."""
    if stored[1] != version + 1:
        raise UndecodableEventError(stored, f"version {version + 1} is missing before it")
    if version:
        raise UndecodableEventError(stored, f"its position is not after that of the version before it ({position})")
