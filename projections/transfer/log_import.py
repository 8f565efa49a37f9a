"""Import an exported log into an empty database: the same streams, positions, Merkle log and read models.

One transaction imports everything or nothing. No email and no message follows from it.
"""

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Final
from uuid import UUID

import psycopg
from psycopg import Connection, sql

from domain.values.timestamps import read_timestamp
from projections.database.connection import open_maintenance_connection
from projections.database.copy_reader import StoredRow
from projections.database.errors import translate_outage
from projections.definitions.registry import PROJECTIONS
from projections.rebuild.shadow_builder import ShadowBuilder
from projections.rebuild.shadow_tables import Shadow, tables_of
from projections.replay.observer import NullObserver, Progress
from projections.sql.transfer import TransferSql
from projections.transfer.checksummed_lines import DamagedFileError, Line, read_lines
from projections.transfer.log_export import FORMAT, PROGRESS_EVERY, LogSummary
from projections.transparency_log.checkpoints import Checkpoint, read_map_root
from projections.transparency_log.merkle import IncrementalRoot
from projections.transparency_log.tile_log import EVENTS_MAX, append_new_events, hash_stored_event, read_tree_size

_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_ROW = struct.Struct(">hi16siqi").pack
_POSITION = struct.Struct(">iq").pack
_LENGTH = struct.Struct(">i").pack
_BATCH_EVENTS = 500
CONFLICTS: Final[Mapping[str, Sequence[str]]] = {
    "events": ("ledger_events",),
    "read models": tuple(PROJECTIONS),
    "checkpoints": ("checkpoints", "merkle_tiles", "reservation_map_tiles"),
}
"""Tables whose rows an import of the log would mix with, by what they hold."""


class NotEmptyError(Exception):
    """The database holds rows that an import would mix with. The message says what to do."""


def import_log(database_url: str, source: BinaryIO, progress: Progress) -> LogSummary:
    """Import a file of the log.

    Args:
        database_url: libpq URI of the role that owns the tables; the schema is this version's.
        source: The file, from its beginning.
        progress: Shows how far it is.

    Raises:
        NotEmptyError: The log is not empty; nothing has changed.
        DamagedFileError: The file is cut, altered, or contradicts itself; nothing has changed.
        UndecodableEventError: An event cannot be decoded or cannot follow; nothing has changed.
        SchemaMismatchError: The tables are not those of this version.
        StorageUnavailableError: The database is or became unavailable. Check the log before a second attempt.
    """
    with (
        translate_outage("import", owner_work="an import"),
        open_maintenance_connection(database_url, "import") as conn,
        conn.transaction(),
    ):
        return _LogImport(conn, database_url, progress).run(source)


class _LogImport:
    """One import, inside its transaction."""

    def __init__(self, conn: Connection[Any], database_url: str, progress: Progress) -> None:
        self._conn, self._url, self._progress = conn, database_url, progress
        self._tree = IncrementalRoot()
        self._position = 0
        self._total = 0
        self._checkpoints: list[Checkpoint] = []
        self._end: LogSummary | None = None

    def run(self, source: BinaryIO) -> LogSummary:
        self._conn.execute(TransferSql.lock_writers_exclusive)
        if conflicts := [what for what, tables in CONFLICTS.items() if any(map(self._has_rows, tables))]:
            raise NotEmptyError(
                f"the database already holds {' and '.join(conflicts)}: an import needs an empty database:"
                " create one, run `ledger migrate` on it and import there"
            )
        try:
            self._copy_in(source)
        except psycopg.errors.UniqueViolation as error:
            why = f"an event up to here appears twice ({error.diag.message_detail})"
            raise DamagedFileError(self._tree.size + 1, why) from error
        summary = self._check_end()
        self._build_tree(summary)
        for table in ("ledger_events", "checkpoints"):
            advance_sequences(self._conn, table)
        self._build_read_models()
        return summary

    def _has_rows(self, table: str) -> bool:
        row = self._conn.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(table))).fetchone()
        return row is not None and bool(row[0])

    def _copy_in(self, source: BinaryIO) -> None:
        rows: list[bytes] = []
        with self._conn.cursor().copy(TransferSql.copy_imported_log) as copy:
            copy.write(_COPY_HEADER)
            for line in read_lines(source, FORMAT):
                if (stored := self._read_line(line)) is not None:
                    rows.append(_row(stored))
                if len(rows) == _BATCH_EVENTS:
                    copy.write(b"".join(rows))
                    rows.clear()
            copy.write(b"".join(rows) + _COPY_TRAILER)

    def _read_line(self, line: Line) -> StoredRow | None:
        """Return the event of a line; None if the line holds none."""
        document = line.document
        try:
            if "format" in document:
                self._total = int(document["events"])
                self._progress.step("import", self._total)
            elif "checkpoint" in document:
                self._read_checkpoint(line.number, document["checkpoint"])
            elif "end" in document:
                self._end = _end_of(document["end"])
            else:
                return self._read_event(line.number, _event_of(document))
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error, struct.error) as error:
            raise DamagedFileError(line.number, f"the line is not of this format ({error})") from error
        return None

    def _read_event(self, number: int, stored: StoredRow) -> StoredRow:
        stream, version, position, topic, state = stored
        if position <= self._position:
            raise DamagedFileError(number, f"position {position} is not after {self._position}")
        self._position = position
        self._tree.add(hash_stored_event(stream, version, topic, state))
        if self._tree.size % PROGRESS_EVERY == 0:
            self._progress.at(self._tree.size, self._position)
        return stored

    def _read_checkpoint(self, number: int, document: dict[str, Any]) -> None:
        """Check a checkpoint, which follows the last event that it covers, against all events up to there."""
        checkpoint = _checkpoint_of(document, self._position)
        if (checkpoint.size, checkpoint.root) != (self._tree.size, self._tree.root()):
            raise DamagedFileError(
                number, f"the events up to here are not those that checkpoint {checkpoint.number} signed"
            )
        if not checkpoint.is_signed:
            raise DamagedFileError(number, f"the signature of checkpoint {checkpoint.number} is wrong")
        self._checkpoints.append(checkpoint)

    def _check_end(self) -> LogSummary:
        actual = LogSummary(self._tree.size, self._position, len(self._checkpoints), self._tree.root())
        if self._end is None or self._end._replace(position=actual.position) != actual or self._total != actual.events:
            raise DamagedFileError(actual.events + actual.checkpoints + 2, "the end line does not match the events")
        return actual

    def _build_tree(self, summary: LogSummary) -> None:
        self._progress.step("proof", 0)
        while append_new_events(self._conn) == EVENTS_MAX:
            pass
        if read_tree_size(self._conn).size != summary.events:
            raise AssertionError
        with self._conn.cursor() as cursor:
            cursor.executemany(TransferSql.insert_numbered_checkpoint, self._checkpoints)

    def _build_read_models(self) -> None:
        """Build the read models as a rebuild does.

        The temporary tables are on the one connection that sees the new events.
        """
        shadow = Shadow(self._conn, tables_of(self._conn, PROJECTIONS), temporary=frozenset(PROJECTIONS))
        builder = ShadowBuilder(self._conn, self._conn, shadow, NullObserver(), self._progress)
        shadow.create()
        builder.fill(self._url)
        for table in shadow.tables:
            statement = sql.SQL("INSERT INTO {} SELECT * FROM {}").format(table.place, shadow.place(table))
            self._conn.execute(statement)
        self._conn.execute(TransferSql.restore_waiting_places)


def advance_sequences(conn: Connection[Any], table: str) -> None:
    """Advance a table's sequences beyond its highest numbers. A rollback does not undo this."""
    for column, sequence in conn.execute(TransferSql.columns_with_sequences, (table,)).fetchall():
        highest = sql.SQL("SELECT setval({}, max({})) FROM {} HAVING max({}) IS NOT NULL")
        name = sql.Identifier(column)
        conn.execute(highest.format(sql.Literal(sequence), name, sql.Identifier(table), name))


def _event_of(document: dict[str, Any]) -> StoredRow:
    state = document.get("state")
    raw = base64.b64decode(document["state_base64"], validate=True) if state is None else state.encode()
    return UUID(document["stream"]).bytes, document["version"], document["position"], document["topic"], raw


def _checkpoint_of(document: dict[str, Any], position: int) -> Checkpoint:
    root, key, signature = (
        base64.b64decode(document[name], validate=True) for name in ("root", "public_key", "signature")
    )
    at, map_root = read_timestamp(document["at"]), read_map_root(document)
    return Checkpoint(document["number"], document["size"], position, root, at, key, signature, map_root)


def _end_of(document: dict[str, Any]) -> LogSummary:
    return LogSummary(**{**document, "root": base64.b64decode(document["root"], validate=True)})


def _row(stored: StoredRow) -> bytes:
    """Return a row for a binary COPY, with the columns of `copy_log_in`."""
    stream, version, position, topic, state = stored
    name = topic.encode()
    head = _ROW(5, 16, stream, 8, version, len(name))
    return head + name + _LENGTH(len(state)) + state + _POSITION(8, position)
