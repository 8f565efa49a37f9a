"""Compare snapshots with the log: each, folded with the events since, must lead to the present row of its stream.

`verify` compares the row itself with a fold of everything, so a wrong snapshot cannot hide behind it.
"""

from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from projections.definitions.projection import StateProjection
from projections.definitions.registry import LOCK_TO_READ
from projections.definitions.tables.campaigns import PROJECTION as CAMPAIGN_ROWS
from projections.definitions.tables.code_balances import PROJECTION as CODE_BALANCES
from projections.event_store.snapshots import (
    CAMPAIGNS,
    CODES,
    StreamKind,
    StreamState,
    decode_snapshot,
    fold_newer_events,
)
from projections.replay.findings import RuleViolation
from projections.replay.invariant_observer import InvariantObserver
from projections.sql.event_store import EventStoreSql
from projections.sql.verification import VerificationSql

EQUAL = "invariant 7: snapshots are what the log says"
NO_EVENT = "the log has no event of its version; it is ignored"
NO_STATE = "not a state of this stream; it is ignored"
NO_MATCH = "with the later events applied, it does not match the row: `ledger rebuild --apply` deletes it"
PAGE = 500


def check_snapshots(conn: Connection[Any], observer: InvariantObserver) -> None:
    """Check every snapshot of the shapes of this version; each wrong one is a finding.

    Args:
        conn: In autocommit mode; each page is read from one snapshot of the database.
        observer: Takes findings, and knows the streams that cannot be folded.
    """
    _check_kind(conn, observer, CODES, CODE_BALANCES)
    _check_kind(conn, observer, CAMPAIGNS, CAMPAIGN_ROWS)


def _check_kind(
    conn: Connection[Any], observer: InvariantObserver, kind: StreamKind[StreamState], rows_of: StateProjection
) -> None:
    after = UUID(int=0)
    while True:
        with conn.transaction(), conn.cursor(row_factory=tuple_row, binary=True) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # Before the first query: in a snapshot older than a rebuild's swap the new tables are empty.
            cursor.execute(LOCK_TO_READ)
            rows = cursor.execute(VerificationSql.snapshots_page, (kind.shape, after, PAGE)).fetchall()
            for stream, version, stored in rows:
                if observer.is_stopped(stream):
                    continue
                if problem := _find_problem(cursor, kind, rows_of, stream, version, stored):
                    observer.add_finding(RuleViolation(EQUAL, stream, version, 0, "snapshot", None, problem))
        if len(rows) < PAGE:
            return
        after = rows[-1][0]


def _find_problem(
    cursor: Cursor[Any],
    kind: StreamKind[StreamState],
    rows_of: StateProjection,
    stream: UUID,
    version: int,
    stored: bytes,
) -> str | None:
    """Return what is wrong with the snapshot of a stream and a version; None if nothing is."""
    state = decode_snapshot(kind, stored)
    if state is None or (kind.read_id(state), state.version) != (stream, version):
        return NO_STATE
    if not _has_event(cursor, stream, version):
        return NO_EVENT
    rows = cursor.execute(rows_of.table.select(f"{rows_of.table.key[0]} = %s"), (stream,)).fetchall()
    if not rows or tuple(rows[0]) != rows_of.row(fold_newer_events(cursor, kind, stream, state)):
        return NO_MATCH
    return None


def _has_event(cursor: Cursor[Any], stream: UUID, version: int) -> bool:
    return bool(cursor.execute(EventStoreSql.stream_events, (stream, version - 1, 1)).fetchall())
