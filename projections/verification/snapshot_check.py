"""Compare snapshots with the log: each, folded with the events since, must lead to the present row of its stream.

`verify` compares the row itself with a fold of everything, so a wrong snapshot cannot hide behind it.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from projections.definitions.registry import LOCK_TO_READ
from projections.definitions.tables.campaigns import PROJECTION as CAMPAIGNS
from projections.definitions.tables.code_balances import PROJECTION as CODE_BALANCES
from projections.event_store.snapshots import (
    CAMPAIGN_FINGERPRINT,
    SCHEMA_FINGERPRINT,
    decode_campaign_snapshot,
    decode_snapshot,
    fold_newer_campaign_events,
    fold_newer_events,
)
from projections.replay.findings import RuleViolation
from projections.replay.invariant_observer import InvariantObserver
from projections.sql.event_store import EventStoreSql
from projections.sql.verification import VerificationSql

EQUAL = "invariant 7: snapshots are what the log says"
NO_EVENT = "the log has no event of its version; it is ignored"
NO_MATCH = "with the later events applied, it does not match the row: `ledger rebuild --apply` deletes it"
PAGE = 500

FindProblem = Callable[[Cursor[Any], UUID, int, bytes], str | None]
"""Returns what is wrong with the snapshot of a stream and a version; None if nothing is."""


def check_snapshots(conn: Connection[Any], observer: InvariantObserver) -> None:
    """Check every snapshot of the shapes of this version; each wrong one is a finding.

    Args:
        conn: In autocommit mode; each page is read from one snapshot of the database.
        observer: Takes findings, and knows the streams that cannot be folded.
    """
    _check_shape(conn, observer, SCHEMA_FINGERPRINT, _find_problem_of_code)
    _check_shape(conn, observer, CAMPAIGN_FINGERPRINT, _find_problem_of_campaign)


def _check_shape(conn: Connection[Any], observer: InvariantObserver, shape: str, find_problem: FindProblem) -> None:
    after = UUID(int=0)
    while True:
        with conn.transaction(), conn.cursor(row_factory=tuple_row, binary=True) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # Before the first query: in a snapshot older than a rebuild's swap the new tables are empty.
            cursor.execute(LOCK_TO_READ)
            rows = cursor.execute(VerificationSql.snapshots_page, (shape, after, PAGE)).fetchall()
            for stream, version, state in rows:
                if not observer.is_stopped(stream) and (problem := find_problem(cursor, stream, version, state)):
                    observer.add_finding(RuleViolation(EQUAL, stream, version, 0, "snapshot", None, problem))
        if len(rows) < PAGE:
            return
        after = rows[-1][0]


def _find_problem_of_code(cursor: Cursor[Any], code_id: UUID, version: int, state: bytes) -> str | None:
    code = decode_snapshot(state)
    if code is None or (code.code_id, code.version) != (code_id, version):
        return "not a state of this code; it is ignored"
    if not _has_event(cursor, code_id, version):
        return NO_EVENT
    rows = cursor.execute(CODE_BALANCES.table.select("code_id = %s"), (code_id,)).fetchall()
    if not rows or tuple(rows[0]) != CODE_BALANCES.row(fold_newer_events(cursor, code_id, code)):
        return NO_MATCH
    return None


def _find_problem_of_campaign(cursor: Cursor[Any], campaign_id: UUID, version: int, state: bytes) -> str | None:
    campaign = decode_campaign_snapshot(state)
    if campaign is None or (campaign.campaign_id, campaign.version) != (campaign_id, version):
        return "not a state of this campaign; it is ignored"
    if not _has_event(cursor, campaign_id, version):
        return NO_EVENT
    rows = cursor.execute(CAMPAIGNS.table.select("campaign_id = %s"), (campaign_id,)).fetchall()
    if not rows or tuple(rows[0]) != CAMPAIGNS.row(fold_newer_campaign_events(cursor, campaign_id, campaign)):
        return NO_MATCH
    return None


def _has_event(cursor: Cursor[Any], stream: UUID, version: int) -> bool:
    return bool(cursor.execute(EventStoreSql.stream_events, (stream, version - 1, 1)).fetchall())
