"""Compare the stored blocks of histories with the log: each is folded again, and must be stored as it is."""

from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from projections.event_store.snapshots import StreamState
from projections.read_models.history_blocks import (
    BLOCKS_PER_WRITE,
    CAMPAIGNS,
    CODES,
    EVENTS_PER_BLOCK,
    FoldedHistory,
    HistoryKind,
    encode_blocks,
    encode_trace,
    extend_history,
    read_events_with,
)
from projections.replay.findings import RuleViolation
from projections.replay.invariant_observer import InvariantObserver
from projections.sql.read_models import ReadModelsSql
from projections.sql.verification import VerificationSql
from projections.verification.snapshot_check import EQUAL

PAGE = 500
REPAIR = "it is not what the log leads to: `ledger rebuild --apply` deletes it"


def check_blocks(conn: Connection[Any], observer: InvariantObserver) -> None:
    """Check every block of this version's shapes; the first wrong one of a code or campaign is a finding.

    Args:
        conn: In autocommit mode.
        observer: Takes findings, and knows the streams that cannot be folded.
    """
    with conn.cursor(row_factory=tuple_row, binary=True) as cursor:
        _check_kind(CODES, cursor, observer)
        _check_kind(CAMPAIGNS, cursor, observer)


def _check_kind(kind: HistoryKind[StreamState], cursor: Cursor[Any], observer: InvariantObserver) -> None:
    after = UUID(int=0)
    while True:
        page = cursor.execute(VerificationSql.codes_with_blocks, (kind.shape, after, PAGE)).fetchall()
        for (stream_id,) in page:
            if observer.is_stopped(stream_id):
                continue
            if (version := _find_wrong_block(kind, cursor, stream_id)) is not None:
                observer.add_finding(RuleViolation(EQUAL, stream_id, version, 0, "block", None, REPAIR))
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _find_wrong_block(kind: HistoryKind[StreamState], cursor: Cursor[Any], stream_id: UUID) -> int | None:
    """Return the version of the first stored block that differs from the log; None if none does."""
    history = FoldedHistory[StreamState].create_empty()
    rows = cursor.execute(ReadModelsSql.history_blocks, (stream_id, kind.shape, 0)).fetchall()
    blocks: dict[int, bytes] = {version: bytes(block) for version, block, _ in rows}
    traces = {version: bytes(trace) for version, _, trace in rows if trace is not None}
    while pending := [version for version in blocks if version > history.version]:
        before = history.version
        target = min((version for version in traces if version > before), default=max(pending))
        missing = min((target - before) // EVENTS_PER_BLOCK, BLOCKS_PER_WRITE)
        history = extend_history(kind, history, stream_id, read_events_with(cursor), max(missing, 1))
        if history.version == before:
            return pending[0]
        for version, block in encode_blocks(history, before):
            if blocks.get(version, block) != block:
                return version
        if traces.get(history.version, trace := encode_trace(history)) != trace:
            return history.version
    return None
