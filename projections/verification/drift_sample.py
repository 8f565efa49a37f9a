"""Comparing read models with a fold of the log, code by code; the whole log at once is `verify`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from projections.replay.findings import Finding
from projections.replay.invariant_observer import InvariantObserver
from projections.replay.log_fold import LogFold
from projections.replay.observer import ReadEvent
from projections.sql.event_store import EventStoreSql
from projections.sql.read_models import ReadModelsSql
from projections.sql.transparency_log import TransparencyLogSql
from projections.sql.verification import VerificationSql
from projections.storage.bootstrap import LedgerStore

RECHECKED_MAX = 200

_STORED: Final = {
    "code_balances": ReadModelsSql.balance_of_code,
    "reservations": VerificationSql.reservations_of_code,
    "cases": VerificationSql.cases_of_code,
}


class RowDrift(NamedTuple):
    """A row that is not what the log says; None stands for a row that is not there."""

    table: str
    row_id: UUID
    stored: tuple[Any, ...] | None
    folded: tuple[Any, ...] | None


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
    findings: list[Finding]
    drifting: int
    position: int
    events: int


class LastVerified(NamedTuple):
    """When something was last compared with the log, and up to which position."""

    kind: str
    at: datetime
    position: int


def sample_codes(storage: LedgerStore, count: int, now: datetime) -> SampleResult:
    """Check up to `count` codes picked at random, and those that were wrong before; remember what is wrong."""
    with storage.datastore.get_connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
        position = cursor.execute(EventStoreSql.stable_position).fetchall()[0][0]
        ids = {row[0] for row in cursor.execute(VerificationSql.random_codes, {"most": count})}
        ids |= {row[0] for row in cursor.execute(VerificationSql.drifted_codes, (RECHECKED_MAX,))}
    drifts: list[RowDrift] = []
    findings: list[Finding] = []
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
    """Keep codes with the number of their rows and events that are wrong."""
    if wrong_counts:
        ids = sorted(wrong_counts)
        cursor.execute(VerificationSql.upsert_drifted_codes, (now, ids, [wrong_counts[key] for key in ids]))


def last_verified(conn: Connection[tuple[Any, ...]]) -> list[LastVerified]:
    """The last check of each kind."""
    return [LastVerified(*row) for row in conn.execute(VerificationSql.last_verifications)]


def compare_code(storage: LedgerStore, code_id: UUID) -> tuple[list[RowDrift], list[Finding], int]:
    """Compare one code's rows with its log and check every event, all from one snapshot; and how many events."""
    observer, folded = InvariantObserver(), _Rows()
    with (
        storage.datastore.get_connection() as conn,
        conn.transaction(),
        conn.cursor(row_factory=tuple_row) as cursor,
    ):
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Before the snapshot: to one that is older than a rebuild's swap the new tables would seem empty.
        cursor.execute(TransparencyLogSql.lock_read_models_to_read)
        events = cursor.execute(EventStoreSql.stream_events, (code_id, 0, None)).fetchall()
        fold = LogFold(folded, observer, open_reservations_max=len(events))
        fold.take((code_id.bytes, version, position, topic, bytes(state)) for position, version, topic, state in events)
        fold.end_stream()
        stored = {
            table: {row[0]: _as_folded(row) for row in cursor.execute(query, (code_id,))}
            for table, query in _STORED.items()
        }
    drifts = [drift for table in _STORED for drift in _differences(table, stored[table], folded.tables[table])]
    return drifts, observer.findings, len(events)


def _as_folded(row: Sequence[Any]) -> tuple[Any, ...]:
    """A stored row with its arrays as a fold has them."""
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


class _Rows:
    """Keeps folded rows by table and id."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[UUID, tuple[Any, ...]]] = {table: {} for table in _STORED}
        self.rows = {table: partial(_keep_row, rows) for table, rows in self.tables.items()}

    def late(self, event: ReadEvent) -> None:
        """Never: nothing is given out early where everything may be held."""
        raise AssertionError(event)

    def closed(self, row: tuple[Any, ...]) -> None:
        """The end of a case that this stream never opened; its row, if there is one, differs."""


def _keep_row(rows: dict[UUID, tuple[Any, ...]], row: tuple[Any, ...]) -> None:
    rows[row[0]] = row


Rows = Mapping[UUID, tuple[Any, ...]]


def _differences(table: str, stored: Rows, folded: Rows) -> list[RowDrift]:
    pairs = [(key, stored.get(key), folded.get(key)) for key in sorted(stored.keys() | folded.keys())]
    return [RowDrift(table, key, stored, folded_row) for key, stored, folded_row in pairs if stored != folded_row]
