"""Folding the whole log with flat memory, and stopping at events that cannot be decoded or folded.

The log is read stream by stream (the primary key's order), one page per COPY. In that order only one code is held at a
time, because a code's balance needs its events in order; by position, every code that may still change would be held.

- A code with very many reservations is bounded too: rows of those touched longest ago are written early. A later event
  of such a reservation goes to `RowSink.out_of_order` and is applied to the row in the end.
- Pages are short, because a database snapshot held for minutes would keep dead row versions of busy codes from being
  pruned and slow the redeems.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from psycopg import Connection

from domain.events.campaign import CampaignCreated
from domain.events.code import CodeIssued
from domain.events.event import Event
from domain.events.reservation import ReservationEvent, ReservationStarted
from domain.model.campaign import Campaign, evolve_campaign
from domain.model.redeem_code import RedeemCode, evolve_code
from domain.model.reservation import Reservation
from domain.model.reservation_transitions import evolve_reservation
from domain.working_set import Recorded, Transition
from projections.database.copy_reader import StoredRow, read_copied_events
from projections.definitions.projection import Projection, Row, State
from projections.definitions.registry import EVENT_PROJECTIONS, PROJECTIONS, STATE_PROJECTIONS
from projections.definitions.row_writer import rows_of_transition
from projections.event_store.codec import UnreadableEventError, decode
from projections.replay.observer import FoldObserver, ReadEvent, UndecodableEventError
from projections.sql.read_models import ReadModelsSql

WriteRow = Callable[[Row], object]


class MemoryLimits(NamedTuple):
    """What bounds the memory.

    Attributes:
        page_events: Events read by one COPY.
        open_reservations_max: Reservations of one code that are held, about 1.5 kB each.
        catch_up_events: Events applied to existing rows in one step.
    """

    page_events: int = 100_000
    open_reservations_max: int = 30_000
    catch_up_events: int = 5_000


DEFAULT_LIMITS = MemoryLimits()


class Streams(NamedTuple):
    """A range of streams by id, both ends included."""

    first: UUID
    last: UUID


class RowSink(Protocol):
    """Where folded rows go."""

    @property
    def rows(self) -> Mapping[str, WriteRow]:
        """By projection, what takes one of its rows. Other projections are not folded."""

    def out_of_order(self, event: ReadEvent) -> None:
        """Take an event of a reservation whose row was written before it."""


def fold_streams(
    conn: Connection[Any],
    fold: "LogFold",
    streams: Streams,
    until: int,
    page_events: int,
    on_page: Callable[[int], object],
    on_block: Callable[[], object] = lambda: None,
) -> None:
    """Fold a range of streams.

    Args:
        conn: A connection that is used for nothing else at the same time.
        fold: Takes the events.
        streams: The range.
        until: The last position that is folded.
        page_events: Events read by one COPY.
        on_page: Called after each page with the number of its events.
        on_block: Called many times within a page.

    Raises:
        UndecodableEventError: If the observer says so.
    """
    cursor: tuple[UUID, int] | None = (streams.first, 0)
    while cursor is not None:
        params = (*cursor, streams.last, until, page_events)
        with closing(read_copied_events(conn, ReadModelsSql.copy_log_page, params, on_block)) as events:
            count, last = fold.fold_page(events)
        cursor = (UUID(bytes=last[0]), last[1]) if last is not None and count == page_events else None
        on_page(count)
    fold.end_stream()


class LogFold:
    """Folds streams one after the other, with the functions of the live path."""

    def __init__(
        self,
        sink: RowSink,
        observer: FoldObserver,
        open_reservations_max: int = DEFAULT_LIMITS.open_reservations_max,
    ) -> None:
        self._sink, self._observer, self._open_reservations_max = sink, observer, open_reservations_max
        self._is_observed = observer.is_active
        states = {PROJECTIONS[name].state for name in sink.rows}
        self._folds_codes = self._is_observed or RedeemCode in states
        self._folds_reservations = self._is_observed or Reservation in states
        self._folds_campaigns = self._is_observed or Campaign in states
        self._campaign_rows = _state_rows(sink, Campaign)
        self._campaign: Campaign | None = None
        self._is_campaign = False
        self._code_rows = _state_rows(sink, RedeemCode)
        self._reservation_rows = _state_rows(sink, Reservation)
        self._event_rows = _event_rows(sink)
        self._stream = b""
        self._code_id = UUID(int=0)
        self._code: RedeemCode | None = None
        self._version = self._position = 0
        self._is_broken = False
        self._last: ReadEvent | None = None
        # By the number of the id, because hash and equality of a UUID are written in Python.
        self._open_reservations: dict[int, Reservation] = {}
        self._has_flushed = False

    def fold_page(self, events: Iterable[StoredRow]) -> tuple[int, StoredRow | None]:
        """Fold more events, in order of stream and version.

        Returns:
            The number of events, and the last one.

        Raises:
            UndecodableEventError: If the observer says so.
        """
        count, stored = 0, None
        for stored in events:
            count += 1
            if stored[0] != self._stream:
                self.end_stream()
                self._stream, self._code_id = stored[0], UUID(bytes=stored[0])
            if self._is_observed:
                self._observer.check_stored(stored)
            if self._is_broken:
                continue
            try:
                self._fold(stored)
            except UnreadableEventError as error:
                self._stop(UndecodableEventError(stored, str(error)), error)
            except UndecodableEventError as error:
                self._stop(error, error)
        return count, stored

    def end_stream(self) -> None:
        """Write the rows of the states that the last stream ends with."""
        if not self._is_broken:
            if self._code is not None:
                for row, write in self._code_rows:
                    write(row(self._code))
            if self._campaign is not None:
                for row, write in self._campaign_rows:
                    write(row(self._campaign))
            self._flush_reservations(len(self._open_reservations))
        if self._last is not None:
            self._observer.observe_end(self._last)
        self._open_reservations.clear()
        self._last = None
        self._code, self._campaign, self._version, self._position = None, None, 0, 0
        self._is_broken = self._has_flushed = self._is_campaign = False

    def _stop(self, undecodable: UndecodableEventError, cause: Exception) -> None:
        self._is_broken = True
        try:
            self._observer.report_undecodable(undecodable)
        except UndecodableEventError as error:
            raise error from cause

    def _fold(self, stored: StoredRow) -> None:
        _, version, position, topic, state = stored
        if version != self._version + 1 or position <= self._position:
            _check_order(self._version, self._position, stored)
        event = decode(topic, state)
        if version == 1 and not isinstance(event, CodeIssued):
            self._begin_campaign(stored, event)
        code_before = self._code
        reservation_before = reservation = None
        try:
            if self._is_campaign:
                self._fold_campaign(version, position, event)
            elif self._folds_codes:
                self._fold_code(version, position, event)
            if self._folds_reservations and isinstance(event, ReservationEvent):
                reservation_before, reservation = self._fold_reservation(version, position, event)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise UndecodableEventError(stored, f"cannot be applied: {error}") from error
        self._version, self._position = version, position
        if (projections := self._event_rows.get(type(event))) is not None:
            recorded = Recorded(self._code_id, version, event)
            transition = Transition(recorded, code_before, self._code, reservation_before, reservation)
            # An event out of order has no reservation here: what follows from that is written by `CatchUp`.
            for projection, write in projections:
                for row in rows_of_transition(projection, transition):
                    write(row)

    def _fold_code(self, version: int, position: int, event: Event) -> None:
        before = self._code
        after = evolve_code(before, self._code_id, version, event)
        if self._is_observed:
            self._last = ReadEvent(position, self._code_id, version, event)
            self._observer.observe_code(self._last, before, after)
        self._code = after

    def _begin_campaign(self, stored: StoredRow, event: Event) -> None:
        if not isinstance(event, CampaignCreated):
            raise UndecodableEventError(stored, "a stream must begin with CodeIssued or CampaignCreated")
        self._is_campaign = True

    def _fold_campaign(self, version: int, position: int, event: Event) -> None:
        if not self._folds_campaigns:
            return
        before = self._campaign
        after = evolve_campaign(before, self._code_id, version, event)
        if self._is_observed:
            self._last = ReadEvent(position, self._code_id, version, event)
            self._observer.observe_campaign(self._last, before, after)
        self._campaign = after

    def _fold_reservation(
        self, version: int, position: int, event: ReservationEvent
    ) -> tuple[Reservation | None, Reservation | None]:
        """Return the reservation before and after an event; no state after it if its row was written before."""
        key = event.reservation_id.int
        before = self._open_reservations.pop(key, None)
        if before is None and not isinstance(event, ReservationStarted):
            if not self._has_flushed:
                raise LookupError(f"no event before it opens reservation {event.reservation_id}")
            self._sink.out_of_order(ReadEvent(position, self._code_id, version, event))
            return None, None
        after = evolve_reservation(before, self._code_id, version, event)
        if self._is_observed:
            self._observer.observe_reservation(ReadEvent(position, self._code_id, version, event), before, after)
        self._open_reservations[key] = after
        if len(self._open_reservations) > self._open_reservations_max:
            self._flush_reservations(len(self._open_reservations) // 2)
            self._has_flushed = True
        return before, after

    def _flush_reservations(self, count: int) -> None:
        """Write the rows of the reservations that were touched longest ago."""
        for key in list(islice(self._open_reservations, count)):
            reservation = self._open_reservations.pop(key)
            for row, write in self._reservation_rows:
                write(row(reservation))


def _state_rows(sink: RowSink, kind: type[State]) -> list[tuple[Callable[[Any], Row], WriteRow]]:
    """Return, for each wanted projection of a kind of state, what makes its row and what takes it."""
    return [(each.row, sink.rows[each.name]) for each in STATE_PROJECTIONS[kind] if each.name in sink.rows]


def _event_rows(sink: RowSink) -> dict[type[Event], list[tuple[Projection, WriteRow]]]:
    """Return, for each type of event that has rows, the wanted projections and what takes their rows."""
    by_event_type = {
        kind: [(projection, sink.rows[projection.name]) for projection in projections if projection.name in sink.rows]
        for kind, projections in EVENT_PROJECTIONS.items()
    }
    return {kind: projections for kind, projections in by_event_type.items() if projections}


def _check_order(version: int, position: int, stored: StoredRow) -> None:
    """Check that a stream has versions from 1 on without gaps, and that positions rise with them."""
    if stored[1] != version + 1:
        raise UndecodableEventError(stored, f"version {version + 1} is missing before it")
    if version:
        raise UndecodableEventError(stored, f"its position is not after that of the version before it ({position})")
