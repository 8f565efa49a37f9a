"""Rebuild of read models while redemptions continue: compare, then swap (docs/explanation/rebuild.md).

The steps: fold the log up to a stable position into shadow tables, build their indexes, apply the events appended
since, compare with the live tables in one snapshot (events and rows are committed together, so a snapshot has both at
the same position), and with `apply` wait until no writer is active, apply the last events, and rename. Until that
commit the live tables are untouched, so a rebuild may end at any point.

Only rows of projections are written: no email, no message and no event follows from a rebuild.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection

from projections.database.connection import bound_lock_waits, connect, open_maintenance_connection
from projections.database.errors import translate_outage
from projections.definitions.registry import LOCK_TO_READ, PROJECTIONS, with_state_stores
from projections.event_store.snapshots import stable_position
from projections.rebuild.diff import Difference, Scope, count_differences, find_differences
from projections.rebuild.lock import RebuildRunningError, acquire_rebuild_lock
from projections.rebuild.shadow_builder import ShadowBuilder
from projections.rebuild.shadow_tables import LiveTable, Shadow, check_swappable, drop_leftovers, tables_of
from projections.replay.log_fold import DEFAULT_LIMITS, MemoryLimits
from projections.replay.observer import NullObserver, Progress
from projections.replay.worker_pool import default_worker_count
from projections.sql.event_store import EventStoreSql
from projections.sql.rebuild import RebuildSql

SWAP_ATTEMPTS_MAX = 200
SWAP_PAUSE_S = 0.1
WRITER_LOCK_MS = (50, 300)
"""Longest wait for active writers, at the first try and at the last: other writers wait behind us."""
TABLE_LOCK_MS_MAX = 60
"""Longest wait for the tables after that; a longer read of them makes us try later."""
VACUUM_MS_MAX = 5_000
"""Longest wait for a vacuum of the tables to end; no writer waits behind us then.

PostgreSQL ends an automatic one for us after its deadlock_timeout, one second by default, so shorter waits never got
through while a long one ran (https://www.postgresql.org/docs/17/routine-vacuuming.html, 24.1.6).
"""
LISTED_MAX = 1_000

OnStep = Callable[[str], None]


class SwapBusyError(Exception):
    """The tables could not be locked without delaying redeems; nothing has changed."""


class NothingToRebuildError(Exception):
    """The projections have no rows of one code, so they can only be rebuilt as a whole."""


@dataclass(frozen=True, slots=True)
class RebuildOptions:
    """What to rebuild.

    Attributes:
        projections: Their names.
        only: One code instead of all.
        apply: Whether to put the result in place.
        listed_max: Most differences to list; all are counted.
        limits: Bounds of the memory.
        workers: Processes that fold a long log.
    """

    projections: frozenset[str] = frozenset(PROJECTIONS)
    only: UUID | None = None
    apply: bool = False
    listed_max: int = LISTED_MAX
    limits: MemoryLimits = DEFAULT_LIMITS
    workers: int = field(default_factory=default_worker_count)


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild found.

    Attributes:
        position: Up to which the log was folded.
        events: How many events were folded.
        counts: Differing rows by table and kind of change; all of them, listed or not.
        listed: The first of them.
        lock_ms: How long writers were kept out; None if nothing was put in place.
    """

    position: int = 0
    events: int = 0
    seconds: float = 0.0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    listed: list[Difference] = field(default_factory=list)
    lock_ms: float | None = None

    @property
    def differing(self) -> int:
        """How many rows differ."""
        return sum(count for kinds in self.counts.values() for count in kinds.values())


def rebuild(
    database_url: str, options: RebuildOptions, progress: Progress, on_step: OnStep = lambda _: None
) -> RebuildReport:
    """Rebuild projections, or report what would change.

    Args:
        database_url: libpq URI of the role that owns the tables.
        options: What to rebuild, and how.
        progress: Shows how far it is.
        on_step: Called with the name of each step that is reached.

    Raises:
        UndecodableEventError: An event cannot be decoded or cannot follow; nothing has changed.
        NothingToRebuildError: The projections have no rows of one code.
        RebuildRunningError: Another rebuild runs.
        SwapBusyError: Something reads the tables for so long that they can't be swapped; nothing has changed.
        SchemaMismatchError: The tables are not those of this version.
        StorageUnavailableError: The database is or became unavailable. All tables were renamed, or none.
    """
    try:
        with (
            translate_outage("rebuild", owner_work="a rebuild"),
            open_maintenance_connection(database_url, "rebuild") as writer,
            open_maintenance_connection(database_url, "rebuild", reads_log=True) as reader,
        ):
            acquire_rebuild_lock(writer)
            report = _RebuildRun(writer, reader, options, progress, on_step).run(database_url)
            with suppress(psycopg.errors.LockNotAvailable):  # an old table is being read: the next run drops it
                drop_leftovers(writer)
            return report
    except RebuildRunningError:
        raise
    except BaseException:
        _clean_up(database_url)
        raise


def compare(
    conn: Connection[Any],
    builder: ShadowBuilder,
    tables: Sequence[LiveTable],
    report: RebuildReport,
    listed_max: int,
    skip: Collection[UUID] = (),
) -> None:
    """Compare live tables and shadow at one position, and leave the shadow there.

    Args:
        conn: The shadow's connection.
        builder: Keeps the shadow.
        tables: Those to compare.
        report: Takes the differences.
        listed_max: Most of them to list.
        skip: Codes to leave out, as known once the shadow is at its position.
    """
    shadow = builder.shadow
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        conn.execute(LOCK_TO_READ)
        builder.apply_new_events(stable_position(conn))
        scope = Scope(tables, builder.only, sorted(skip))
        report.counts = count_differences(conn, shadow, scope)
        if report.counts:
            report.listed = list(find_differences(conn, shadow, scope, listed_max))


def projections_to_rebuild(options: RebuildOptions) -> frozenset[str]:
    """Return the projections that can be rebuilt as asked.

    Raises:
        NothingToRebuildError: Only one code is asked for, and each row of these projections sums up several.
    """
    names = options.projections
    if options.only is not None:
        names = frozenset(name for name in names if PROJECTIONS[name].code_column is not None)
    if not names:
        raise NothingToRebuildError(f"rows of {', '.join(sorted(options.projections))} are not of one code")
    return names


class _RebuildRun:
    """One rebuild, while its lock is held."""

    def __init__(
        self,
        writer: Connection[Any],
        reader: Connection[Any],
        options: RebuildOptions,
        progress: Progress,
        on_step: OnStep,
    ) -> None:
        self._writer, self._options, self._progress, self._on_step = writer, options, progress, on_step
        names = projections_to_rebuild(options)
        all_names = with_state_stores(names)
        tables = tables_of(writer, all_names)
        self._tables = [table for table in tables if table.name in names]
        is_swapped = options.apply and options.only is None
        if is_swapped:
            check_swappable(writer, self._tables)
        # One code's rows are few, and rows that are compared or folded from are never swapped: they need not be logged.
        self._shadow = Shadow(writer, tables, temporary=all_names - names if is_swapped else all_names)
        self._builder = ShadowBuilder(
            *(reader, writer, self._shadow, NullObserver(), progress, options.only),
            limits=options.limits,
            workers=options.workers,
        )

    def run(self, database_url: str) -> RebuildReport:
        report = RebuildReport()
        self._shadow.create()
        self._on_step("created")
        self._builder.fill(database_url)
        self._on_step("filled")
        self._builder.catch_up()
        self._progress.step("compare", 0)
        compare(self._writer, self._builder, self._tables, report, self._options.listed_max)
        self._on_step("compared")
        if self._options.apply:
            self._progress.step("swap", 0)
            report.lock_ms = self._swap_when_idle()
            # Snapshots and blocks of histories are caches of the log too, and written again where they are missing.
            for delete in (RebuildSql.delete_snapshots, RebuildSql.delete_history_blocks):
                self._writer.execute(delete, {"code_id": self._options.only})
            # The consumer of the log fills it again, from its beginning.
            if self._options.only is None:
                self._writer.execute(RebuildSql.reset_reservation_map)
            self._on_step("in place")
        report.position, report.events = self._builder.position, self._builder.events
        report.seconds = self._builder.seconds
        return report

    def _swap_when_idle(self) -> float:
        """Try until the locks are granted soon; return the milliseconds for which writers were kept out."""
        for number in range(SWAP_ATTEMPTS_MAX):
            self._builder.catch_up()  # committed: what the swap itself applies is rolled back with it
            before = self._builder.position
            try:
                lock_ms = self._swap(number) if self._options.only is None else self._replace(self._options.only)
                if lock_ms is not None:
                    return lock_ms
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                pass
            self._builder.position = before
            time.sleep(SWAP_PAUSE_S)
        raise SwapBusyError(
            "the read models are in use for too long to swap them without delaying redeem requests:"
            " look for long transactions and vacuums in pg_stat_activity and try again"
        )

    def _swap(self, number: int) -> float | None:
        """Keep vacuums out, then writers, fold the last events, rename; None if there were too many of them."""
        first, last = WRITER_LOCK_MS
        with self._writer.transaction():
            bound_lock_waits(self._writer, VACUUM_MS_MAX)
            self._shadow.keep_vacuums_out()
            self._builder.catch_up()
            bound_lock_waits(self._writer, first + (last - first) * number // SWAP_ATTEMPTS_MAX)
            self._writer.execute(EventStoreSql.lock_exclusive_writer)
            started = time.monotonic()
            self._writer.execute(EventStoreSql.lock_append_order)
            until = stable_position(self._writer)
            if until - self._builder.position > self._builder.last_catch_up_max:
                return None
            self._builder.apply_new_events(until)
            bound_lock_waits(self._writer, TABLE_LOCK_MS_MAX)
            self._shadow.swap()
            self._on_step("swapping")
        return (time.monotonic() - started) * 1000

    def _replace(self, only: UUID) -> float:
        """Replace one code's live rows, under the lock of that code's stream."""
        with self._writer.transaction():
            self._writer.execute(EventStoreSql.lock_shared_writer)
            key = int.from_bytes(only.bytes[:8], "big", signed=True)
            self._writer.execute(EventStoreSql.lock_streams, ([key],))
            started = time.monotonic()
            self._builder.apply_new_events(stable_position(self._writer))
            self._shadow.replace_rows(self._tables, only)
            self._on_step("swapping")
        return (time.monotonic() - started) * 1000


def _clean_up(database_url: str) -> None:
    """Drop what is left over, unless another rebuild has begun. The next run drops what remains."""
    with suppress(psycopg.Error, RebuildRunningError), connect(database_url) as conn:
        acquire_rebuild_lock(conn)  # waits a little: the server may not have noticed yet that our sessions have ended
        drop_leftovers(conn)
