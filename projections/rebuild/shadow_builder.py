"""Filling shadow tables from the log and keeping them at a known position."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from projections.event_store.row_mapping import PROJECTIONS
from projections.event_store.snapshots import stable_position
from projections.rebuild.catch_up import Tail, read_events
from projections.rebuild.shadow_tables import Shadow
from projections.rebuild.throttle import Throttle
from projections.replay.findings import Findings
from projections.replay.jobs import JobRunner, count_parts, fold_jobs
from projections.replay.log_fold import DEFAULT_LIMITS, MemoryLimits
from projections.replay.observer import Progress, ReadEvent, Watch
from projections.replay.protocol import CheckTiles, ClosedCases, FoldStreams, Found, Job, Late, Start, Told
from projections.replay.worker_pool import FoldPool, Heard
from projections.sql.rebuild import RebuildSql

LEFT_EVENTS_MAX: Final = 100
"""As many may be left before writers are asked to wait; what they have begun by then comes on top."""
LAST_TAIL_S: Final = 0.04
LAST_TAIL_EVENTS: Final = (200, 2_000)
"""While writers wait: for how long events may be brought in, and how many at least and at most that may be."""
ROUNDS_MAX: Final = 50
ALONE_EVENTS_MAX: Final = 20_000
"""A log of so many events is folded before other processes would have begun."""
EVENTS_PER_WORKER: Final = 100_000
"""Fewer are not worth another process. The first one is worth more than time: it stands back for redeems."""
HEAVY_MAX: Final = 64
"""Streams that are looked at for being longer than others."""


class ShadowSink:
    """Takes folded rows into the shadow; what came too late for a row waits in a table of the session's own."""

    def __init__(self, conn: Connection[Any], shadow: Shadow) -> None:
        self._conn, self._shadow, self.rows = conn, shadow, shadow.rows
        self._late: list[tuple[UUID, int]] = []
        self.closed_cases: list[tuple[Any, ...]] = []
        conn.execute(RebuildSql.create_out_of_order_events)

    def late(self, event: ReadEvent) -> None:
        """For after the indexes."""
        self._late.append((event.code_id, event.version))

    def closed(self, row: tuple[Any, ...]) -> None:
        """For after the indexes; persons close cases, so these are few."""
        self.closed_cases.append(row)

    def flush(self) -> None:
        """Bring everything kept into the database."""
        self._shadow.flush()
        if self._late:
            self.copy_late(self._late)
            self._late.clear()

    def copy_late(self, places: Sequence[tuple[UUID, int]]) -> None:
        """Keep places of late events."""
        with self._conn.cursor().copy(RebuildSql.copy_out_of_order_events) as copy:
            for place in places:
                copy.write_row(place)


class ShadowBuilder:
    """Fills a shadow and keeps it at a known position.

    Args:
        reader: A connection for reading the log.
        writer: The shadow's connection.
        shadow: Made, and empty.
        watch: Who looks on.
        progress: Who is told how far it is.
        only: One code instead of all.
        sizes: What bounds the memory.
        workers: Processes that fold a long log; none: this one does it.
    """

    def __init__(
        self,
        reader: Connection[Any],
        writer: Connection[Any],
        shadow: Shadow,
        watch: Watch,
        progress: Progress,
        only: UUID | None = None,
        *,
        sizes: MemoryLimits = DEFAULT_LIMITS,
        workers: int = 0,
    ) -> None:
        self._reader, self._writer, self.shadow = reader, writer, shadow
        self._watch, self._progress, self.only, self._sizes, self._workers = watch, progress, only, sizes, workers
        self._tail = Tail(writer, shadow.names, watch)
        self._sink = ShadowSink(writer, shadow)
        self._throttle = Throttle(writer)
        self.position = 0
        self.events = 0
        self._began = time.monotonic()
        self._tail_rate = 0.0

    @property
    def seconds(self) -> float:
        """For how long this has been going on."""
        return time.monotonic() - self._began

    def fill(self, database_url: str, more: Sequence[CheckTiles] = ()) -> None:
        """Fold the log up to where it is stable now, and build the indexes.

        Args:
            database_url: For processes that help.
            more: Other work to be done by the same processes.

        Raises:
            UndecodableEventError: If the watch says so.
            WorkerDiedError: A process that helps was ended.
        """
        until = stable_position(self._reader)
        self._progress.step("fold", until)
        if self.only is not None:
            self._do([FoldStreams(self.only, self.only)], until)
        elif not self._workers or until <= ALONE_EVENTS_MAX:
            self._do([*fold_jobs(1), *more], until)
        else:
            self._have_done([*self._parts(until), *more], until, database_url)
        if self._throttle.is_busy:
            self._writer.execute(RebuildSql.disable_parallel_queries)
        self.shadow.index(lambda table: self._progress.step(f"index {table}", 0), self._throttle.run)
        self._apply_late()
        self.position = until

    def _do(self, jobs: Sequence[Job], until: int) -> None:
        """Here, one after the other."""

        def read(events: int) -> None:
            self._sink.flush()
            self._read(events, until)

        runner = JobRunner(self._reader, self._sink, self._watch, until, self._sizes, read)
        for job in jobs:
            runner.run(job)
            self._sink.flush()

    def _have_done(self, jobs: Sequence[Job], until: int, database_url: str) -> None:
        """In processes of their own."""
        columns = {table.name: list(table.types) for table in self.shadow.tables}
        start = Start(
            database_url, columns, until, self._sizes.page_events, self._sizes.open_reservations_max, self._watch.looks
        )
        names = list(PROJECTIONS)

        def hear(word: Heard) -> None:
            match word:
                case (int(number), bytes(rows)):
                    self._throttle.run(partial(self.shadow.copy, names[number], rows))
                case Told():
                    self._read(word.events, until)
                case Late():
                    self._sink.copy_late(word.places)
                case ClosedCases():
                    self._sink.closed_cases += word.rows
                case Found():
                    self._watch.merge(Findings(word.kept, word.counts, word.stopped))
                case _:
                    raise AssertionError(word)

        with FoldPool(start, min(self._workers, max(until // EVENTS_PER_WORKER, 1))) as pool:
            pool.run(jobs, hear)

    def _parts(self, until: int) -> list[FoldStreams]:
        parts = count_parts(until)
        heavy = self._reader.execute(RebuildSql.longest_streams, (until // parts // 2, HEAVY_MAX)).fetchall()
        return fold_jobs(parts, [row[0] for row in heavy])

    def _read(self, events: int, until: int) -> None:
        self.events += events
        self._progress.at(self.events, until)

    @property
    def last_catch_up_max(self) -> int:
        """As many events may be left for the end, where writers wait: by the pace of this machine under this load."""
        least, most = LAST_TAIL_EVENTS
        return min(max(int(self._tail_rate * LAST_TAIL_S), least), most)

    def catch_up(self) -> None:
        """Bring the shadow along until hardly anything is new, or events come as fast as they are brought in."""
        for _ in range(ROUNDS_MAX):
            until = stable_position(self._reader)
            if until - self.position <= LEFT_EVENTS_MAX:
                return
            self._progress.step("tail", until - self.position)
            before, began = self.events, time.monotonic()
            self.apply_new_events(until)
            self._tail_rate = (self.events - before) / max(time.monotonic() - began, 1e-6)

    def apply_new_events(self, until: int) -> None:
        """Everything after our position up to another, on the writer's connection and in its transaction.

        Raises:
            UndecodableEventError: An event can't be read or can't follow.
        """
        first = self.position
        while self.position < until:
            query = RebuildSql.events_between if self.only is None else RebuildSql.events_between_of_stream
            stream = () if self.only is None else (self.only,)
            rows = self._writer.execute(query, (self.position, until, *stream, self._sizes.catch_up_events)).fetchall()
            self._tail.apply(read_events(rows, self._watch))
            self.events += len(rows)
            self.position = rows[-1][2] if len(rows) == self._sizes.catch_up_events else until
            self._progress.at(self.position - first, self.position)

    def _apply_late(self) -> None:
        self._tail.close_cases(self._sink.closed_cases)
        after: tuple[UUID, int] = (UUID(int=0), 0)
        while rows := self._writer.execute(
            RebuildSql.out_of_order_events_page, (*after, self._sizes.catch_up_events)
        ).fetchall():
            self._tail.apply_to_reservations(read_events(rows, self._watch))
            after = (rows[-1][0], rows[-1][1])
