"""Read the legacy database, SQLite or PostgreSQL, from one snapshot and without writing to it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.rows import dict_row

from domain.legacy.records import LegacyCode, LegacyInvite
from projections.legacy.rows import (
    REQUIRED_COLUMNS,
    LegacyRowError,
    QueuedRecipient,
    read_code_row,
    read_invite_row,
    read_queue_row,
)

FETCH_SIZE = 2000
"""Rows fetched at a time."""
RECORDS_PER_CODE_MAX = 1_000_000
"""Records of one code that are held in memory at once."""
CONNECT_S_MAX = 10


class LegacySourceError(Exception):
    """The legacy database can't be read; the message says why and what to do."""


class UnreadableRow(NamedTuple):
    """A row that can't be read: its table and id, and what is wrong with it."""

    table: str
    old_id: object
    sentence: str


class LegacyCodeRecords(NamedTuple):
    """The legacy records of one code; `code` is None if only records name it."""

    text: str
    code: LegacyCode | None
    records: list[LegacyInvite]
    unreadable_rows: list[UnreadableRow]


Row = Mapping[str, Any]


class _LegacyDatabase(Protocol):
    """An open legacy database."""

    def columns(self, table: str) -> set[str]:
        """Return the columns of a table; empty if there is no such table."""

    def rows(self, statement: str) -> Iterator[Row]:
        """Stream the rows of a statement."""


class LegacySystem:
    """The legacy system's tables, joined code by code."""

    def __init__(self, database: _LegacyDatabase) -> None:
        """Check that the tables are those of the legacy system.

        Raises:
            LegacySourceError: A required table or column is missing.
        """
        self._database = database
        for table, needed in REQUIRED_COLUMNS.items():
            columns = database.columns(table)
            if not columns:
                raise LegacySourceError(
                    f"the database has no table {table}: set --dsn to the database of the legacy system"
                )
            if missing := [column for column in needed if column not in columns]:
                raise LegacySourceError(
                    f"the table {table} has no column {missing[0]}: set --dsn to the database of the legacy system"
                )

    def count_codes(self) -> int:
        """Return how many codes there are."""
        return int(next(iter(self._database.rows("SELECT count(*) AS n FROM redeem_codes")))["n"])

    def read_group_names(self) -> dict[int, str]:
        """Return the names of the groups by their ids; empty in versions without groups."""
        if not {"id", "name"} <= self._database.columns("team_groups"):
            return {}
        return {row["id"]: str(row["name"]) for row in self._database.rows("SELECT id, name FROM team_groups")}

    def read_texts(self) -> Iterator[tuple[int, str]]:
        """Yield id and text of every code."""
        for row in self._database.rows("SELECT id, code FROM redeem_codes ORDER BY id"):
            yield row["id"], row["code"] if isinstance(row["code"], str) else ""

    def read_codes(self) -> Iterator[LegacyCodeRecords]:
        """Yield every code with its records, in the order of the codes' texts; then records of missing codes."""
        codes = self._database.rows(_select_sorted("redeem_codes", "code"))
        records = _InvitesByCode(self._database.rows(_select_sorted("invite_records", "redeem_code")))
        for row in codes:
            text = row["code"] if isinstance(row["code"], str) else ""
            for orphans in records.take_before(_sort_key(text)):
                yield _read_records(_first_text(orphans), None, orphans)
            yield _read_records(text, row, records.take(_sort_key(text)))
        for orphans in records.take_rest():
            yield _read_records(_first_text(orphans), None, orphans)

    def read_queue(self) -> Iterator[QueuedRecipient | UnreadableRow]:
        """Yield every row of the queue of unsent invitations; none in versions without that table."""
        if not {"id", "status"} <= self._database.columns("invite_queue"):
            return
        for row in self._database.rows("SELECT * FROM invite_queue ORDER BY id"):
            try:
                yield read_queue_row(row)
            except LegacyRowError as error:
                yield UnreadableRow("invite_queue", row["id"], str(error))


class _InvitesByCode:
    """Rows of `invite_records` in groups of one code, read in order."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next: Row | None = next(rows, None)

    def take_before(self, key: str) -> Iterator[list[Row]]:
        """Yield the groups of smaller keys."""
        while self._next is not None and _sort_key(self._next["redeem_code"]) < key:
            yield self._take_group(_sort_key(self._next["redeem_code"]))

    def take(self, key: str) -> list[Row]:
        """Return the group of this key, empty if there is none."""
        return self._take_group(key)

    def take_rest(self) -> Iterator[list[Row]]:
        """Yield the remaining groups."""
        while self._next is not None:
            yield self._take_group(_sort_key(self._next["redeem_code"]))

    def _take_group(self, key: str) -> list[Row]:
        group: list[Row] = []
        while self._next is not None and _sort_key(self._next["redeem_code"]) == key:
            group.append(self._next)
            self._next = next(self._rows, None)
            if len(group) > RECORDS_PER_CODE_MAX:
                raise LegacySourceError(f"one code has more than {RECORDS_PER_CODE_MAX:,} rows in invite_records")
        return group


def _read_records(text: str, row: Row | None, rows: list[Row]) -> LegacyCodeRecords:
    code, troubles, records = None, [], []
    if row is not None:
        try:
            code = read_code_row(row)
        except LegacyRowError as error:
            troubles.append(UnreadableRow("redeem_codes", row["id"], str(error)))
    for record_row in rows:
        try:
            records.append(read_invite_row(record_row))
        except LegacyRowError as error:
            troubles.append(UnreadableRow("invite_records", record_row["id"], str(error)))
    records.sort(key=lambda record: record.old_id)
    return LegacyCodeRecords(text, code, records, troubles)


def _first_text(rows: list[Row]) -> str:
    text = rows[0]["redeem_code"]
    return text if isinstance(text, str) else ""


_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _sort_key(text: object) -> str:
    """Return the key that both tables are sorted by.

    The legacy system compared codes in upper case; both servers sort that by bytes.
    """
    return text.strip(" ").translate(_UPPER) if isinstance(text, str) else ""


def _select_sorted(table: str, column: str) -> str:
    return f"SELECT * FROM {table} ORDER BY upper(trim(coalesce({column}, '')) COLLATE {{bytes}}) COLLATE {{bytes}}, id"  # noqa: S608 - names are ours


class _Sqlite:
    """A SQLite file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def columns(self, table: str) -> set[str]:
        return {row["name"] for row in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}

    def rows(self, statement: str) -> Iterator[Row]:
        cursor = self._connection.execute(statement.format(bytes="BINARY"))
        while batch := cursor.fetchmany(FETCH_SIZE):
            yield from map(dict, batch)


class _Postgres:
    """A PostgreSQL database, in one read-only transaction."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection
        self._cursors = 0

    def columns(self, table: str) -> set[str]:
        query = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
        return {row["attname"] for row in self._connection.execute(query, (table,))}

    def rows(self, statement: str) -> Iterator[Row]:
        self._cursors += 1
        with self._connection.cursor(f"old_{self._cursors}") as cursor:
            cursor.itersize = FETCH_SIZE
            cursor.execute(statement.format(bytes='"C"').encode())
            yield from cursor


@contextmanager
def open_legacy_system(dsn: str) -> Iterator[LegacySystem]:
    """Open the legacy database read-only; everything is read from one snapshot.

    Args:
        dsn: `sqlite:////absolute/path.db` or `postgresql://...`; a driver's name after a plus sign is ignored.

    Raises:
        LegacySourceError: The DSN is neither, or nothing of the legacy system can be read there.
    """
    scheme = urlsplit(dsn).scheme.partition("+")[0]
    try:
        if scheme == "sqlite":
            with _open_sqlite(_parse_path(dsn)) as connection:
                yield LegacySystem(_Sqlite(connection))
        elif scheme in {"postgresql", "postgres"}:
            with _open_postgres("postgresql" + dsn[dsn.index("://") :]) as connection:
                yield LegacySystem(_Postgres(connection))
        else:
            raise LegacySourceError("--dsn must be sqlite:////absolute/path.db or postgresql://user@host/database")
    except (sqlite3.Error, psycopg.Error) as error:
        raise LegacySourceError(f"the legacy database cannot be read: {str(error).strip().splitlines()[0]}") from error


def _parse_path(dsn: str) -> Path:
    path = Path(unquote(dsn.partition(":")[2].removeprefix("//").removeprefix("/")))
    if not path.is_absolute():
        raise LegacySourceError(f"write an absolute path, with four slashes: sqlite:///{path.absolute()}")
    if not path.is_file():
        raise LegacySourceError(f"there is no file {path}")
    return path


@contextmanager
def _open_sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


@contextmanager
def _open_postgres(url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(url, row_factory=dict_row, connect_timeout=CONNECT_S_MAX) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield connection
