"""Compare snapshots with the log: each, folded with the events since, must lead to the present row of its code.

`verify` compares the row itself with a fold of everything, so a wrong snapshot cannot hide behind it.
"""

from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from projections.definitions.registry import LOCK_TO_READ
from projections.definitions.tables.code_balances import PROJECTION as CODE_BALANCES
from projections.event_store.snapshots import SCHEMA_FINGERPRINT, decode_snapshot, fold_newer_events
from projections.replay.findings import RuleViolation
from projections.replay.invariant_observer import InvariantObserver
from projections.sql.event_store import EventStoreSql
from projections.sql.verification import VerificationSql

EQUAL = "invariant 7: snapshots are what the log says"
PAGE = 500


def check_snapshots(conn: Connection[Any], observer: InvariantObserver) -> None:
    """Check every snapshot of this version's shape; each wrong one is a finding.

    Args:
        conn: In autocommit mode; each page is read from one snapshot of the database.
        observer: Takes findings, and knows the streams that cannot be folded.
    """
    after = UUID(int=0)
    while True:
        with conn.transaction(), conn.cursor(row_factory=tuple_row, binary=True) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # Before the first query: in a snapshot older than a rebuild's swap the new tables are empty.
            cursor.execute(LOCK_TO_READ)
            rows = cursor.execute(VerificationSql.snapshots_page, (SCHEMA_FINGERPRINT, after, PAGE)).fetchall()
            for code_id, version, state in rows:
                if not observer.is_stopped(code_id) and (problem := _find_problem(cursor, code_id, version, state)):
                    observer.add_finding(RuleViolation(EQUAL, code_id, version, 0, "snapshot", None, problem))
        if len(rows) < PAGE:
            return
        after = rows[-1][0]


def _find_problem(cursor: Cursor[Any], code_id: UUID, version: int, state: bytes) -> str | None:
    """Return what is wrong with a snapshot; None if nothing is."""
    code = decode_snapshot(state)
    if code is None or (code.code_id, code.version) != (code_id, version):
        return "not a state of this code; it is ignored"
    if not cursor.execute(EventStoreSql.stream_events, (code_id, version - 1, 1)).fetchall():
        return "the log has no event of its version; it is ignored"
    rows = cursor.execute(CODE_BALANCES.table.select("code_id = %s"), (code_id,)).fetchall()
    if not rows or tuple(rows[0]) != CODE_BALANCES.row(fold_newer_events(cursor, code_id, code)):
        return "with the later events applied, it does not match the row: `ledger rebuild --apply` deletes it"
    return None
