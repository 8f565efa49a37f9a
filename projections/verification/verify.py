"""`ledger verify`: fold the whole log, compare every row of the projections, and check every rule at every version.

It works as a rebuild does (`shadow_builder`), with temporary tables: it runs alongside everything, needs no right but
to create temporary tables, and writes only its own result. `ledger rebuild --apply` repairs what it finds.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.database.connection import open_maintenance_connection
from projections.database.errors import translate_outage
from projections.definitions.registry import PROJECTIONS
from projections.definitions.tables.code_balances import PROJECTION as CODE_BALANCES
from projections.rebuild.diff import Difference
from projections.rebuild.rebuild import RebuildReport, compare
from projections.rebuild.shadow_builder import ShadowBuilder
from projections.rebuild.shadow_tables import Shadow, tables_of
from projections.replay.findings import FINDINGS_MAX, RuleViolation
from projections.replay.invariant_observer import InvariantObserver
from projections.replay.jobs import tile_jobs
from projections.replay.log_fold import DEFAULT_LIMITS, MemoryLimits
from projections.replay.observer import Progress
from projections.replay.tile_check import NO_STREAM
from projections.replay.worker_pool import default_worker_count
from projections.sql.database import DatabaseSql
from projections.sql.verification import VerificationSql
from projections.transparency_log.tile_log import read_tree_size
from projections.verification.block_check import check_blocks
from projections.verification.drift_sample import save_drifted_codes
from projections.verification.mailbox_check import check_mailbox_limits
from projections.verification.map_check import check_map
from projections.verification.merkle_check import ExternalEvidence, check_tree
from projections.verification.snapshot_check import check_snapshots
from projections.verification.vault_check import VAULT_ROWS, check_vault

NO_LOST_EVENTS = "event log: no event is lost at the end of a stream"
NO_EXTERNAL_EVIDENCE = ExternalEvidence()
CAMPAIGN_SUM = "invariant 12: a campaign has the uses of its codes"
SETTLED_IN_TIME = "invariant 2: settled or parked in time"
RULES_WITHOUT_CODE = frozenset({SETTLED_IN_TIME, VAULT_ROWS})
"""Rules whose violations a rebuild of a code's rows does not repair."""


@dataclass(slots=True)
class VerificationReport:
    """The result of a full check.

    Attributes:
        at: Database time when it ended.
        rows: Read-model rows that differ from the log.
        findings: Events that break a rule, the first ones; `broken` counts all by rule.
    """

    at: datetime
    rows: RebuildReport
    findings: list[RuleViolation]
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
    evidence: ExternalEvidence = NO_EXTERNAL_EVIDENCE,
    limits: MemoryLimits = DEFAULT_LIMITS,
    workers: int | None = None,
) -> VerificationReport:
    """Check everything.

    Args:
        database_url: libpq URI.
        grace: How long after its deadline a reservation may be unsettled: a lease, a sweep and some slack.
        progress: Shows how far it is.
        listed_max: Most rows to list; all are counted.
        evidence: What is known outside of the database: keys, and a file of checkpoints.
        limits: Bounds of the memory.
        workers: Processes that fold a long log; None: as many as this machine has use for.

    Raises:
        SchemaMismatchError: The tables are not those of this version.
        StorageUnavailableError: The database is or became unavailable.
    """
    worker_count = default_worker_count() if workers is None else workers
    with (
        translate_outage("check"),
        open_maintenance_connection(database_url, "verify") as writer,
        open_maintenance_connection(database_url, "verify", reads_log=True) as reader,
    ):
        observer, tables = InvariantObserver(), tables_of(writer, PROJECTIONS)
        shadow = Shadow(writer, tables, temporary=frozenset(PROJECTIONS))
        builder = ShadowBuilder(reader, writer, shadow, observer, progress, limits=limits, workers=worker_count)
        tree = read_tree_size(reader)
        shadow.create()
        builder.fill(database_url, tile_jobs(tree))
        progress.step("proof", 0)
        check_tree(reader, observer, tree, evidence)
        check_map(reader, observer)
        check_snapshots(reader, observer)
        check_blocks(reader, observer)
        if evidence.vault is not None:
            progress.step("vault", 0)
            for broken in check_vault(reader, evidence.vault):
                observer.add_finding(broken)
        return _check_rows(writer, builder, observer, progress, grace, listed_max)


def _check_rows(
    conn: Connection[Any],
    builder: ShadowBuilder,
    observer: InvariantObserver,
    progress: Progress,
    grace: timedelta,
    listed_max: int,
) -> VerificationReport:
    """Compare the live rows with those of the fold, and check what only the folded rows show."""
    rows = RebuildReport()
    builder.catch_up()
    progress.step("compare", 0)
    compare(conn, builder, builder.shadow.tables, rows, listed_max, observer.stopped)
    progress.step("rules", 0)
    _check_no_lost_events(rows.listed, observer)
    now = _now(conn)
    _check_overdue(conn, now - grace, observer)
    _check_campaigns(conn, observer)
    check_mailbox_limits(conn, observer)
    rows.position, rows.events, rows.seconds = builder.position, builder.events, builder.seconds
    report = VerificationReport(now, rows, observer.findings, observer.counts)
    _save_result(conn, report)
    return report


def _now(conn: Connection[Any]) -> datetime:
    row = conn.execute(DatabaseSql.database_now).fetchone()
    if row is None:
        raise AssertionError
    now_at: datetime = row[0]
    return now_at


def _check_no_lost_events(rows: Sequence[Difference], observer: InvariantObserver) -> None:
    """Find balances that include lost events: no later event shows such a gap at the end of a stream."""
    for row in rows:
        if row.table == CODE_BALANCES.name and row.code_id and row.old and "version" in row.old:
            version, folded = row.old["version"], row.new["version"] if row.new else 0
            if version > folded:
                position = row.event.position if row.event else 0
                detail = f"its balance covers versions up to {version}, but the log ends with {folded}"
                observer.add_finding(
                    RuleViolation(NO_LOST_EVENTS, row.code_id, folded + 1, position, "lost", None, detail)
                )


def _check_overdue(conn: Connection[Any], before: datetime, observer: InvariantObserver) -> None:
    """Find unsettled reservations in the folded rows, which are at the position of all other checks."""
    params = {"before": before, "most": FINDINGS_MAX}
    for stream, version, position, topic, reservation_id, deadline in conn.execute(
        VerificationSql.overdue_reservations, params
    ):
        detail = f"its deadline was {deadline:%Y-%m-%d %H:%M:%S} UTC: start beat and worker"
        kind = topic.partition(":")[0]
        observer.add_finding(RuleViolation(SETTLED_IN_TIME, stream, version, position, kind, reservation_id, detail))


def _check_campaigns(conn: Connection[Any], observer: InvariantObserver) -> None:
    """Find campaigns whose uses are not those of their codes, in the folded rows."""
    for stream, version, position, topic, occupied, of_codes in conn.execute(
        VerificationSql.wrong_campaigns, (FINDINGS_MAX,)
    ):
        detail = f"its stream has {occupied} uses, its codes have {of_codes}"
        kind = topic.partition(":")[0]
        observer.add_finding(RuleViolation(CAMPAIGN_SUM, stream, version, position, kind, None, detail))


def _save_result(conn: Connection[Any], report: VerificationReport) -> None:
    """Store the result for metrics, and the wrong codes for the sample, which checks them until they are right."""
    wrong: Counter[UUID] = Counter(
        finding.stream
        for finding in report.findings
        if finding.rule not in RULES_WITHOUT_CODE and finding.stream != NO_STREAM
    )
    wrong.update(_listed_codes(report.rows))
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(VerificationSql.delete_all_drifted_codes)
        save_drifted_codes(cursor, wrong, report.at)
        cursor.execute(
            VerificationSql.upsert_verification, ("full", report.at, report.rows.position, report.rows.events)
        )


def _listed_codes(rows: RebuildReport) -> Sequence[UUID]:
    return [row.code_id for row in rows.listed if row.code_id is not None]
