"""Making the read models anew from the log, beside running redeems: see what would change, then swap (docs/rebuild.md).

The steps: fold the log up to a stable position into shadow tables, build their indexes, bring them along with what
was appended meanwhile, compare them with the live tables in one snapshot (events and rows are committed together, so
a snapshot has both at the same position), and with `apply` wait until nobody writes, bring the last events in, and
rename. Until that commit the live tables are untouched, so a rebuild may end anywhere.

Nothing but rows of read models is written: no letter, no message and no event follows from a rebuild.
"""

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection, sql

from projections.database.connection import connect, open_maintenance_connection
from projections.database.errors import StorageUnavailableError
from projections.event_store.row_mapping import PROJECTIONS
from projections.event_store.snapshots import stable_position
from projections.rebuild.diff import Difference, count_differences, differences
from projections.rebuild.lock import RebuildRunningError, acquire_rebuild_lock
from projections.rebuild.shadow_builder import ShadowBuilder
from projections.rebuild.shadow_tables import Shadow, check_swappable, drop_leftovers, lock_to_read, tables_of
from projections.replay.log_fold import DEFAULT_LIMITS, MemoryLimits
from projections.replay.observer import NullObserver, Progress
from projections.replay.worker_pool import default_worker_count
from projections.sql.event_store import EventStoreSql
from projections.sql.rebuild import RebuildSql

SWAP_TRIES_MAX = 200
SWAP_PAUSE_S = 0.1
WRITER_LOCK_MS = (50, 300)
"""Longest wait for writers to finish what they have begun, at the first try and at the last: others wait behind us."""
TABLE_LOCK_MS_MAX = 60
"""Longest wait for the tables after that; who reads them for longer makes us try later."""
VACUUM_MS_MAX = 5_000
"""Longest wait for a vacuum of the tables to end, in which nobody waits behind us.

PostgreSQL ends an automatic one for us after its deadlock_timeout, one second by default, so shorter waits never got
through while a long one ran (https://www.postgresql.org/docs/17/routine-vacuuming.html, 24.1.6).
"""
LISTED_MAX = 1_000

OnStep = Callable[[str], None]


class SwapBusyError(Exception):
    """The tables could not be had without holding up redeems; nothing has changed."""


@dataclass(frozen=True, slots=True)
class RebuildOptions:
    """What to rebuild.

    Attributes:
        projections: Names of read models.
        only: One code instead of all.
        apply: Whether to put the result in place.
        listed_max: Most differences to list; all are counted.
        sizes: What bounds the memory.
        workers: Processes that fold a long log.
    """

    projections: frozenset[str] = frozenset(PROJECTIONS)
    only: UUID | None = None
    apply: bool = False
    listed_max: int = LISTED_MAX
    sizes: MemoryLimits = DEFAULT_LIMITS
    workers: int = field(default_factory=default_worker_count)


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild found.

    Attributes:
        position: The log was folded up to here.
        events: How many events that were.
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
    """Rebuild read models, or say what would change.

    Args:
        database_url: libpq URI of the role that owns the tables.
        options: What.
        progress: Who is told how far it is.
        on_step: Called with the name of each step that is reached.

    Raises:
        UndecodableEventError: An event can't be read or can't follow; nothing has changed.
        RebuildRunningError: Another rebuild runs.
        SwapBusyError: Something reads the tables for so long that they can't be swapped; nothing has changed.
        SchemaMismatchError: The tables are not those of this version.
        StorageUnavailableError: The database is away, or went away. What was renamed, was so as a whole.
    """
    try:
        with (
            open_maintenance_connection(database_url, "rebuild") as writer,
            open_maintenance_connection(database_url, "rebuild", reads_log=True) as reader,
        ):
            acquire_rebuild_lock(writer)
            report = _RebuildRun(writer, reader, options, progress, on_step).run(database_url)
            with suppress(psycopg.errors.LockNotAvailable):  # somebody reads an old table: the next run drops it
                drop_leftovers(writer)
            return report
    except RebuildRunningError:
        raise
    except psycopg.OperationalError as error:
        _clean_up(database_url)
        raise StorageUnavailableError(f"the database went away during the rebuild: {str(error).strip()}") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise StorageUnavailableError(f"a rebuild needs the role that owns the tables: {error}") from error
    except BaseException:
        _clean_up(database_url)
        raise


def compare(
    conn: Connection[Any], builder: ShadowBuilder, report: RebuildReport, listed_max: int, skip: Collection[UUID] = ()
) -> None:
    """Compare live tables and shadow at one position, and leave the shadow there.

    Args:
        conn: The shadow's connection.
        builder: Who keeps the shadow.
        report: Where the differences go.
        listed_max: How many of them to list.
        skip: Codes to leave out; looked at when the shadow is there.
    """
    shadow, only = builder.shadow, builder.only
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        lock_to_read(conn, shadow.tables)
        builder.apply_new_events(stable_position(conn))
        skipped_codes = sorted(skip)
        report.counts = count_differences(conn, shadow, only, skipped_codes)
        if report.counts:
            report.listed = list(differences(conn, shadow, only, skipped_codes, listed_max))


class _RebuildRun:
    """One rebuild, between taking the guard and letting it go."""

    def __init__(
        self,
        writer: Connection[Any],
        reader: Connection[Any],
        options: RebuildOptions,
        progress: Progress,
        on_step: OnStep,
    ) -> None:
        self._writer, self._options, self._progress, self._on_step = writer, options, progress, on_step
        tables = tables_of(writer, options.projections)
        if options.apply and options.only is None:
            check_swappable(writer, tables)
        # One code's rows are few, and those that are only looked at are never swapped: nobody else need see them.
        self._shadow = Shadow(writer, tables, temporary=options.only is not None or not options.apply)
        self._builder = ShadowBuilder(
            *(reader, writer, self._shadow, NullObserver(), progress, options.only),
            sizes=options.sizes,
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
        compare(self._writer, self._builder, report, self._options.listed_max)
        self._on_step("compared")
        if self._options.apply:
            self._progress.step("swap", 0)
            report.lock_ms = self._swap_when_idle()
            # They are a cache of the log too, and made anew by whoever needs them.
            self._writer.execute(RebuildSql.delete_snapshots, {"code_id": self._options.only})
            self._on_step("in place")
        report.position, report.events = self._builder.position, self._builder.events
        report.seconds = self._builder.seconds
        return report

    def _swap_when_idle(self) -> float:
        """Try until nobody is in the way for long; gives the milliseconds for which writers were kept out."""
        for number in range(SWAP_TRIES_MAX):
            self._builder.catch_up()  # for good: what a try brings in is rolled back with it
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
            "something reads or holds the read models for too long to swap them without holding up redeems:"
            " look for long transactions and vacuums in pg_stat_activity and try again"
        )

    def _swap(self, number: int) -> float | None:
        """Keep vacuums out, then writers, fold the last events, rename; None if there were too many of them."""
        first, last = WRITER_LOCK_MS
        with self._writer.transaction():
            _lock_timeout(self._writer, VACUUM_MS_MAX)
            self._shadow.keep_vacuums_out()
            self._builder.catch_up()
            _lock_timeout(self._writer, first + (last - first) * number // SWAP_TRIES_MAX)
            self._writer.execute(EventStoreSql.lock_exclusive_writer)
            started = time.monotonic()
            self._writer.execute(EventStoreSql.lock_append_order)
            until = stable_position(self._writer)
            if until - self._builder.position > self._builder.last_catch_up_max:
                return None
            self._builder.apply_new_events(until)
            _lock_timeout(self._writer, TABLE_LOCK_MS_MAX)
            self._shadow.swap()
            self._on_step("swapping")
        return (time.monotonic() - started) * 1000

    def _replace(self, only: UUID) -> float:
        """Put one code's rows in the place of the live ones, under that code's own lock."""
        with self._writer.transaction():
            self._writer.execute(EventStoreSql.lock_shared_writer)
            key = int.from_bytes(only.bytes[:8], "big", signed=True)
            self._writer.execute(EventStoreSql.lock_streams, ([key],))
            started = time.monotonic()
            self._builder.apply_new_events(stable_position(self._writer))
            self._shadow.replace_rows(only)
            self._on_step("swapping")
        return (time.monotonic() - started) * 1000


def _lock_timeout(conn: Connection[Any], milliseconds: int) -> None:
    conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{milliseconds}ms")))


def _clean_up(database_url: str) -> None:
    """Drop what is left over, unless another rebuild has begun; what can't be dropped now, the next run drops."""
    with suppress(psycopg.Error, RebuildRunningError), connect(database_url) as conn:
        acquire_rebuild_lock(conn)  # waits a little: the server may not have noticed yet that our sessions have ended
        drop_leftovers(conn)
