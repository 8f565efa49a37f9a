"""Filling shadow tables from the log and keeping them at a known position."""

from typing import Any, Protocol
from uuid import UUID

from psycopg import Connection

from domain.redeem_code import RedeemCode
from domain.reservation import Reservation
from projections.rebuild_log import FIRST, SIZES, LogFold, PoisonEventError, ReadEvent, Sizes, Watch, read_page
from projections.rebuild_shadow import Shadow
from projections.rebuild_tail import Tail, read_events
from projections.sql import QUERIES

LAST_TAIL_EVENTS_MAX = 300
"""As many may be left for the end, where writers wait."""


class Progress(Protocol):
    """Who is told how far it is."""

    def step(self, name: str, total: int) -> None:
        """Another step begins: with so many events to read, or 0 where there is nothing to count."""

    def at(self, events: int, position: int) -> None:
        """So many events of this step are read; the highest position among them."""


class NoWatch:
    """Looks at nothing and stops at the first event that can't be read."""

    def code_event(self, at: ReadEvent, before: RedeemCode | None, after: RedeemCode) -> None:
        """Nothing."""

    def item_event(self, at: ReadEvent, before: Reservation | None, after: Reservation) -> None:
        """Nothing."""

    def poison(self, error: PoisonEventError) -> None:
        """Stop."""
        raise error

    def is_stopped(self, code_id: UUID) -> bool:
        """Never: everything is stopped."""
        del code_id
        return False


class ShadowSink:
    """Takes folded rows into the shadow; what came too late for a row waits in a table of the session's own."""

    def __init__(self, conn: Connection[Any], shadow: Shadow) -> None:
        self._conn, self.shadow = conn, shadow
        self._late: list[tuple[UUID, int]] = []
        self.closed_cases: list[tuple[Any, ...]] = []
        conn.execute(QUERIES["create_late_events"])

    def row(self, table: str, row: tuple[Any, ...]) -> None:
        """For the next flush."""
        self.shadow.add(table, row)

    def late(self, event: ReadEvent) -> None:
        """For after the indexes."""
        self._late.append((event.code_id, event.version))

    def closed(self, row: tuple[Any, ...]) -> None:
        """For after the indexes; persons close cases, so these are few."""
        self.closed_cases.append(row)

    def flush(self) -> None:
        """Bring everything kept into the database."""
        self.shadow.flush()
        if self._late:
            with self._conn.cursor().copy(QUERIES["copy_late_events"]) as copy:
                for row in self._late:
                    copy.write_row(row)
            self._late.clear()


class Builder:
    """Fills a shadow and keeps it at a known position.

    Args:
        reader: A connection for reading the log.
        writer: The shadow's connection.
        shadow: Made, and empty.
        only: One code instead of all.
    """

    def __init__(
        self,
        reader: Connection[Any],
        writer: Connection[Any],
        shadow: Shadow,
        watch: Watch,
        progress: Progress,
        only: UUID | None = None,
        sizes: Sizes = SIZES,
    ) -> None:
        self._reader, self._writer, self.shadow = reader, writer, shadow
        self._watch, self._progress, self.only, self._sizes = watch, progress, only, sizes
        self._tail = Tail(writer, shadow.names, watch)
        self.position = 0
        self.events = 0

    def fill(self) -> None:
        """Fold the log up to where it is stable now, and build the indexes.

        Raises:
            PoisonEventError: If the watch says so.
        """
        until = stable_position(self._reader)
        self._progress.step("fold", until)
        sink = ShadowSink(self._writer, self.shadow)
        fold = LogFold(sink, self._watch, self._sizes.held_max)
        page_events = self._sizes.page_events
        after, read = FIRST, page_events
        while read == page_events:
            read, stored = 0, None
            for stored in read_page(self._reader, after, until, page_events, self.only):
                fold.add(stored)
                read += 1
            if stored is not None:
                after = (UUID(bytes=stored.stream), stored.version)
            self.events += read
            sink.flush()
            self._progress.at(self.events, until)
        fold.end_stream()
        sink.flush()
        self.shadow.index(lambda table: self._progress.step(f"index {table}", 0))
        self._apply_late(sink)
        self.position = until

    def catch_up(self, left_max: int = LAST_TAIL_EVENTS_MAX) -> None:
        """Bring the shadow along until hardly anything is new."""
        while True:
            until = stable_position(self._reader)
            if until - self.position <= left_max:
                return
            self._progress.step("tail", until - self.position)
            self.take_tail(until)

    def take_tail(self, until: int) -> None:
        """Everything after our position up to another, on the writer's connection and in its transaction.

        Raises:
            PoisonEventError: An event can't be read or can't follow.
        """
        first = self.position
        while self.position < until:
            query = "events_between" if self.only is None else "events_between_of_stream"
            stream = () if self.only is None else (self.only,)
            rows = self._writer.execute(
                QUERIES[query], (self.position, until, *stream, self._sizes.tail_events)
            ).fetchall()
            self._tail.apply(read_events(rows, self._watch))
            self.events += len(rows)
            self.position = rows[-1][2] if len(rows) == self._sizes.tail_events else until
            self._progress.at(self.position - first, self.position)

    def _apply_late(self, sink: ShadowSink) -> None:
        self._tail.close_cases(sink.closed_cases)
        after: tuple[UUID, int] = FIRST
        while rows := self._writer.execute(QUERIES["late_events_page"], (*after, self._sizes.tail_events)).fetchall():
            self._tail.apply_to_reservations(read_events(rows, self._watch))
            after = (rows[-1][0], rows[-1][1])


def stable_position(conn: Connection[Any]) -> int:
    """The highest position: positions appear in order, so everything up to it is there."""
    row = conn.execute(QUERIES["stable_position"]).fetchone()
    return int(row[0]) if row else 0
