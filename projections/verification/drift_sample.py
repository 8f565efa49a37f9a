"""Comparing the rows of single codes with a fold of their events; `verify` compares the whole log."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from projections.database.table_arrays import encode_rows
from projections.definitions.projection import Row, RowMerger
from projections.definitions.registry import LOCK_TO_READ, PROJECTIONS
from projections.replay.findings import RuleViolation
from projections.replay.invariant_observer import InvariantObserver
from projections.replay.log_fold import LogFold
from projections.replay.observer import ReadEvent
from projections.sql.event_store import EventStoreSql
from projections.sql.verification import DRIFTED_CODES, VerificationSql
from projections.storage.bootstrap import LedgerStore

RECHECKED_MAX = 200
CAMPAIGNS: Final = 2
"""Campaigns of one sample: each has a stream of its own, which may be as long as those of all its codes together."""

CODE_PROJECTIONS: Final = {
    name: projection.table.select(f"{projection.code_column} = %s")
    for name, projection in PROJECTIONS.items()
    if projection.code_column is not None
}
"""Projections whose rows are of one code or campaign each, with the statement that reads its rows."""


Rows = Mapping[Row, Row]
"""Rows by their key."""


class RowDrift(NamedTuple):
    """A row that differs from what follows from the log; None stands for a missing row."""

    table: str
    key: Row
    stored: Row | None
    folded: Row | None

    @property
    def row_id(self) -> Any:  # noqa: ANN401 - the type of the key
        """The value of the key; all values where the key has several columns."""
        return self.key if len(self.key) > 1 else self.key[0]


class SampleResult(NamedTuple):
    """What a spot check found.

    Attributes:
        drifts: Rows that differ.
        findings: Rules that are broken.
        drifting: Rows and rules that are wrong, over all codes known to be wrong by now.
        position: Where the log ended when it began.
        events: How many events were folded.
    """

    drifts: list[RowDrift]
    findings: list[RuleViolation]
    drifting: int
    position: int
    events: int


class LastVerified(NamedTuple):
    """When something was last compared with the log, and up to which position."""

    kind: str
    at: datetime
    position: int


def sample_codes(storage: LedgerStore, count: int, now: datetime) -> SampleResult:
    """Check up to `count` random codes, some campaigns and what was wrong before, and store which streams are wrong."""
    with storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
        position = cursor.execute(EventStoreSql.stable_position).fetchall()[0][0]
        ids = {row[0] for row in cursor.execute(VerificationSql.random_codes, {"most": count})}
        ids |= {row[0] for row in cursor.execute(VerificationSql.random_campaigns, {"most": min(count, CAMPAIGNS)})}
        ids |= {row[0] for row in cursor.execute(VerificationSql.drifted_codes, (RECHECKED_MAX,))}
    drifts: list[RowDrift] = []
    findings: list[RuleViolation] = []
    events = 0
    wrong_counts: dict[UUID, int] = {}
    for code_id in sorted(ids):
        rows, findings_of_code, folded = compare_code(storage, code_id)
        drifts += rows
        findings += findings_of_code
        events += folded
        if rows or findings_of_code:
            wrong_counts[code_id] = len(rows) + len(findings_of_code)
    with storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor, conn.transaction():
        cursor.execute(VerificationSql.delete_drifted_codes, (sorted(ids - wrong_counts.keys()),))
        save_drifted_codes(cursor, wrong_counts, now)
        cursor.execute(VerificationSql.upsert_verification, ("sample", now, position, events))
        drifting = cursor.execute(VerificationSql.count_drifted_rows).fetchall()[0][0]
    return SampleResult(drifts, findings, int(drifting), position, events)


def save_drifted_codes(cursor: Cursor[Any], wrong_counts: Mapping[UUID, int], now: datetime) -> None:
    """Store codes with the number of their rows and events that are wrong."""
    if wrong_counts:
        rows = [(code_id, now, wrong_counts[code_id]) for code_id in sorted(wrong_counts)]
        cursor.execute(VerificationSql.upsert_drifted_codes, encode_rows(DRIFTED_CODES, rows))


def last_verified(conn: Connection[tuple[Any, ...]]) -> list[LastVerified]:
    """Return the last check of each kind."""
    return [LastVerified(*row) for row in conn.execute(VerificationSql.last_verifications)]


def compare_code(storage: LedgerStore, code_id: UUID) -> tuple[list[RowDrift], list[RuleViolation], int]:
    """Compare one code's rows with its log and check every event, in one snapshot; return the number of events too."""
    observer, folded = InvariantObserver(), FoldedRows(CODE_PROJECTIONS)
    with (
        storage.datastore.get_connection() as conn,
        conn.transaction(),
        conn.cursor(row_factory=tuple_row) as cursor,
    ):
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Before the snapshot: in one older than a rebuild's swap the new tables are empty.
        cursor.execute(LOCK_TO_READ)
        events = cursor.execute(EventStoreSql.stream_events, (code_id, 0, None)).fetchall()
        fold = LogFold(folded, observer, open_reservations_max=len(events))
        fold.fold_page(
            (code_id.bytes, version, position, topic, bytes(state)) for position, version, topic, state in events
        )
        fold.end_stream()
        stored = read_code_rows(cursor, code_id)
    drifts = [
        drift for name in CODE_PROJECTIONS for drift in compare_rows(name, stored[name], folded.tables[name].rows)
    ]
    return drifts, observer.findings, len(events)


def read_code_rows(cursor: Cursor[Any], code_id: UUID) -> dict[str, Rows]:
    """Return the stored rows of one code by projection and key.

    Args:
        cursor: Gives rows as tuples.
        code_id: Of the code.
    """
    return {
        name: RowMerger(PROJECTIONS[name], map(_as_folded, cursor.execute(query, (code_id,)))).rows
        for name, query in CODE_PROJECTIONS.items()
    }


def _as_folded(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return a stored row with its arrays as a fold has them."""
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


class FoldedRows:
    """Keeps the folded rows of some projections by key."""

    def __init__(self, names: Iterable[str]) -> None:
        self.tables = {name: RowMerger(PROJECTIONS[name]) for name in names}
        self.rows = {name: merger.add for name, merger in self.tables.items()}

    def out_of_order(self, event: ReadEvent) -> None:
        """Fail: no row is written early where every reservation may be held."""
        raise AssertionError(event)


def compare_rows(table: str, stored: Rows, folded: Rows) -> list[RowDrift]:
    """Return the rows of a table that differ."""
    pairs = [(key, stored.get(key), folded.get(key)) for key in sorted(stored.keys() | folded.keys())]
    return [
        RowDrift(table, key, stored_row, folded_row)
        for key, stored_row, folded_row in pairs
        if stored_row != folded_row
    ]
