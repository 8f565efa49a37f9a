"""Filling shadow tables from the log, and keeping them at a known position."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from projections.event_store.snapshots import stable_position
from projections.rebuild.catch_up import CatchUp, read_events
from projections.rebuild.shadow_tables import Shadow
from projections.replay.findings import Findings
from projections.replay.jobs import JobRunner, count_parts, fold_jobs
from projections.replay.log_fold import DEFAULT_LIMITS, MemoryLimits
from projections.replay.observer import FoldObserver, Progress, ReadEvent
from projections.replay.protocol import CheckTiles, FindingsReport, FoldStreams, Job, OutOfOrder, PageRead, Start
from projections.replay.row_buffer import RowPiece
from projections.replay.throttle import Throttle
from projections.replay.worker_pool import Received, WorkerPool
from projections.sql.rebuild import RebuildSql

REMAINING_EVENTS_MAX: Final = 100
"""Events that may remain before writers have to wait; what they have begun by then comes on top."""
LAST_CATCH_UP_S: Final = 0.04
LAST_CATCH_UP_EVENTS: Final = (200, 2_000)
"""While writers wait: for how long events may be applied, and how many that may be at least and at most."""
ROUNDS_MAX: Final = 50
ALONE_EVENTS_MAX: Final = 20_000
"""A shorter log is folded before worker processes would have started."""
EVENTS_PER_WORKER: Final = 100_000
"""Fewer do not pay for another process. The first one always pays: it has a lower priority than redeems."""
HEAVY_MAX: Final = 64
"""Most streams that may begin first because they are longer than others."""


class ShadowSink:
    """Takes folded rows into the shadow; events out of order wait in a table of this session."""

    def __init__(self, conn: Connection[Any], shadow: Shadow) -> None:
        self._conn, self._shadow, self.rows = conn, shadow, shadow.rows
        self._out_of_order: list[tuple[UUID, int]] = []
        conn.execute(RebuildSql.create_out_of_order_events)

    def out_of_order(self, event: ReadEvent) -> None:
        """Keep it until the indexes are built."""
        self._out_of_order.append((event.code_id, event.version))

    def flush(self) -> None:
        """Bring everything buffered into the database."""
        self._shadow.flush()
        if self._out_of_order:
            self.copy_out_of_order(self._out_of_order)
            self._out_of_order.clear()

    def copy_out_of_order(self, places: Sequence[tuple[UUID, int]]) -> None:
        """Keep stream and version of events out of order."""
        with self._conn.cursor().copy(RebuildSql.copy_out_of_order_events) as copy:
            for place in places:
                copy.write_row(place)


class ShadowBuilder:
    """Fills a shadow, and keeps it at a known position.

    Args:
        reader: A connection for reading the log.
        writer: The shadow's connection.
        shadow: Created, and empty.
        observer: Checks events while they are folded.
        progress: Shows how far it is.
        only: One code instead of all.
        limits: Bounds of the memory.
        workers: Processes that fold a long log; with 0, this one does.
    """

    def __init__(
        self,
        reader: Connection[Any],
        writer: Connection[Any],
        shadow: Shadow,
        observer: FoldObserver,
        progress: Progress,
        only: UUID | None = None,
        *,
        limits: MemoryLimits = DEFAULT_LIMITS,
        workers: int = 0,
    ) -> None:
        self._reader, self._writer, self.shadow = reader, writer, shadow
        self._observer, self._progress, self.only, self._limits, self._workers = (
            observer,
            progress,
            only,
            limits,
            workers,
        )
        self._catch_up = CatchUp(writer, shadow.names, observer)
        self._sink = ShadowSink(writer, shadow)
        self._throttle = Throttle(writer)
        self.position = 0
        self.events = 0
        self._began = time.monotonic()
        self._catch_up_rate = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def fill(self, database_url: str, more: Sequence[CheckTiles] = ()) -> None:
        """Fold the log up to where it is stable now, and build the indexes.

        Args:
            database_url: For worker processes.
            more: Further jobs for the same processes.

        Raises:
            UndecodableEventError: If the observer says so.
            WorkerDiedError: A worker process ended during a job.
        """
        until = stable_position(self._reader)
        self._progress.step("fold", until)
        if self.only is not None:
            self._run_here([FoldStreams(self.only, self.only)], until)
        elif not self._workers or until <= ALONE_EVENTS_MAX:
            self._run_here([*fold_jobs(1), *more], until)
        else:
            self._run_in_workers([*self._parts(until), *more], until, database_url)
        if self._throttle.is_busy:
            self._writer.execute(RebuildSql.disable_parallel_queries)
        self.shadow.index(lambda table: self._progress.step(f"index {table}", 0), self._throttle.run)
        self._apply_out_of_order()
        self.position = until

    def _run_here(self, jobs: Sequence[Job], until: int) -> None:
        """Run jobs in this process."""

        def on_page(events: int) -> None:
            self._sink.flush()
            self._count(events, until)

        runner = JobRunner(self._reader, self._sink, self._observer, until, self._limits, on_page)
        for job in jobs:
            runner.run(job)
            self._sink.flush()

    def _run_in_workers(self, jobs: Sequence[Job], until: int, database_url: str) -> None:
        """Run jobs in worker processes."""
        columns = {name: list(types) for name, types in self.shadow.column_types.items()}
        start = Start(
            database_url,
            columns,
            until,
            self._limits.page_events,
            self._limits.open_reservations_max,
            self._observer.is_active,
        )

        def on_message(message: Received) -> None:
            match message:
                case RowPiece():
                    self._throttle.run(partial(self.shadow.copy, message))
                case PageRead():
                    self._count(message.events, until)
                case OutOfOrder():
                    self._sink.copy_out_of_order(message.places)
                case FindingsReport():
                    self._observer.merge(Findings(message.listed, message.counts, message.stopped))
                case _:
                    raise AssertionError(message)

        with WorkerPool(start, min(self._workers, max(until // EVENTS_PER_WORKER, 1))) as pool:
            pool.run(jobs, on_message)

    def _parts(self, until: int) -> list[FoldStreams]:
        parts = count_parts(until)
        heavy = self._reader.execute(RebuildSql.longest_streams, (until // parts // 2, HEAVY_MAX)).fetchall()
        return fold_jobs(parts, [row[0] for row in heavy])

    def _count(self, events: int, until: int) -> None:
        self.events += events
        self._progress.at(self.events, until)

    @property
    def last_catch_up_max(self) -> int:
        """Events that may remain for the end, where writers wait: by the rate of this machine under this load."""
        least, most = LAST_CATCH_UP_EVENTS
        return min(max(int(self._catch_up_rate * LAST_CATCH_UP_S), least), most)

    def catch_up(self) -> None:
        """Apply new events until few remain, or until they are appended as fast as they are applied."""
        for _ in range(ROUNDS_MAX):
            until = stable_position(self._reader)
            if until - self.position <= REMAINING_EVENTS_MAX:
                return
            self._progress.step("tail", until - self.position)
            before, began = self.events, time.monotonic()
            self.apply_new_events(until)
            self._catch_up_rate = (self.events - before) / max(time.monotonic() - began, 1e-6)

    def apply_new_events(self, until: int) -> None:
        """Apply the events after our position up to another, on the writer's connection and in its transaction.

        Raises:
            UndecodableEventError: An event can't be read or can't follow.
        """
        first = self.position
        while self.position < until:
            query = RebuildSql.events_between if self.only is None else RebuildSql.events_between_of_stream
            stream = () if self.only is None else (self.only,)
            rows = self._writer.execute(query, (self.position, until, *stream, self._limits.catch_up_events)).fetchall()
            self._catch_up.apply(read_events(rows, self._observer))
            self.events += len(rows)
            self.position = rows[-1][2] if len(rows) == self._limits.catch_up_events else until
            self._progress.at(self.position - first, self.position)

    def _apply_out_of_order(self) -> None:
        after: tuple[UUID, int] = (UUID(int=0), 0)
        while rows := self._writer.execute(
            RebuildSql.out_of_order_events_page, (*after, self._limits.catch_up_events)
        ).fetchall():
            self._catch_up.apply_out_of_order(read_events(rows, self._observer))
            after = (rows[-1][0], rows[-1][1])
