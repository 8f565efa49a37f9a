"""`ledger verify`: the whole log folded anew and compared with the read models row by row, every rule at every version.

It works as a rebuild does (`projections.rebuild_build`), with tables of its own session instead of shadows: it runs
beside everything, needs no rights but to make temporary tables, and changes nothing but its own record of what it
found. It never repairs: that is `ledger rebuild --apply`.
"""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection

from projections.drift import remember_drifting
from projections.errors import StorageUnavailableError
from projections.rebuild import Report, compare
from projections.rebuild_build import Builder, Progress
from projections.rebuild_guard import rebuild_connection
from projections.rebuild_log import SIZES, Sizes
from projections.rebuild_shadow import PROJECTIONS, Shadow, tables_of
from projections.sql import QUERIES
from projections.verify_rules import FINDINGS_MAX, Finding, RuleWatch
from projections.verify_snapshots import check_snapshots
from projections.verify_tree import NOBODY, check_tree

NO_ADDRESS = "9.9 no clear address in an event"
SETTLED_IN_TIME = "9.2 settled or parked in time"


@dataclass(slots=True)
class Verified:
    """What a check of everything found.

    Attributes:
        at: Database time when it ended.
        rows: Read-model rows that differ from the log.
        findings: Events that break a rule, the first ones; `broken` counts all by rule.
    """

    at: datetime
    rows: Report
    findings: list[Finding]
    broken: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> int:
        """Rows and events that are wrong."""
        return self.rows.differing + self.broken.total()


def verify(
    database_url: str,
    grace: timedelta,
    progress: Progress,
    listed_max: int,
    keys: Collection[bytes] | None = None,
    sizes: Sizes = SIZES,
) -> Verified:
    """Check everything.

    Args:
        database_url: libpq URI.
        grace: How long after its deadline a reservation may be unsettled: a lease, a sweep and some slack.
        progress: Who is told how far it is.
        listed_max: Most rows to list; all are counted.
        keys: Public keys that checkpoints may be signed with; None if they are not known here.
        sizes: What bounds the memory.

    Raises:
        SchemaMismatchError: The tables are not those of this version.
        StorageUnavailableError: The database is away, or went away.
    """
    started = time.monotonic()
    watch, rows = RuleWatch(), Report()
    try:
        with rebuild_connection(database_url, "verify") as writer, rebuild_connection(database_url, "verify") as reader:
            shadow = Shadow(writer, tables_of(writer, PROJECTIONS), temporary=True)
            builder = Builder(reader, writer, shadow, watch, progress, sizes=sizes)
            shadow.create()
            builder.fill()
            builder.catch_up()
            progress.step("compare", 0)
            compare(writer, builder, rows, listed_max, watch.stopped)
            progress.step("proof", 0)
            check_tree(reader, watch, keys)
            check_snapshots(reader, watch)
            progress.step("rules", 0)
            now = _now(writer)
            _look_for_addresses(writer, builder.position, watch)
            _look_for_overdue(writer, now - grace, watch)
            rows.position, rows.events, rows.seconds = builder.position, builder.events, time.monotonic() - started
            found = Verified(now, rows, watch.findings, watch.counts)
            _remember(writer, found)
    except psycopg.OperationalError as away:
        raise StorageUnavailableError(f"the database went away during the check: {str(away).strip()}") from away
    return found


def _now(conn: Connection[Any]) -> datetime:
    row = conn.execute(QUERIES["database_now"]).fetchone()
    if row is None:
        raise AssertionError
    moment: datetime = row[0]
    return moment


def _look_for_addresses(conn: Connection[Any], until: int, watch: RuleWatch) -> None:
    rows = conn.execute(QUERIES["events_with_addresses"], (until, FINDINGS_MAX)).fetchall()
    for stream, version, position, topic in rows:
        watch.keep(Finding(NO_ADDRESS, stream, version, position, topic.partition(":")[0], None))


def _look_for_overdue(conn: Connection[Any], before: datetime, watch: RuleWatch) -> None:
    """On the rows of the fold: they are at the position up to which everything else was checked."""
    params = {"before": before, "most": FINDINGS_MAX}
    for stream, version, position, topic, reservation_id, deadline in conn.execute(
        QUERIES["overdue_reservations"], params
    ):
        detail = f"its deadline was {deadline:%Y-%m-%d %H:%M:%S} UTC: does anything run?"
        kind = topic.partition(":")[0]
        watch.keep(Finding(SETTLED_IN_TIME, stream, version, position, kind, reservation_id, detail))


def _remember(conn: Connection[Any], found: Verified) -> None:
    """For the metrics, and for the minute's sample, which looks at what was wrong again until it is right."""
    wrong: Counter[UUID] = Counter(
        finding.stream for finding in found.findings if finding.rule != SETTLED_IN_TIME and finding.stream != NOBODY
    )
    wrong.update(_codes_of(found.rows))
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(QUERIES["forget_all_drifting"])
        remember_drifting(cursor, wrong, found.at)
        cursor.execute(QUERIES["upsert_verification"], ("full", found.at, found.rows.position, found.rows.events))


def _codes_of(rows: Report) -> Sequence[UUID]:
    return [row.code_id for row in rows.listed]
