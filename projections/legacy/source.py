"""Reading the old system's database, SQLite or PostgreSQL, in one unchanging view and without writing a byte."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.rows import dict_row

from domain.legacy.records import LegacyCode, LegacyInvite
from projections.legacy.rows import NEEDED, OldRowError, QueuedPerson, old_code, old_record, queued_person

FETCHED = 2000
"""Rows fetched at a time."""
RECORDS_PER_CODE_MAX = 1_000_000
"""Records of one code that are held in memory at once."""
CONNECT_S_MAX = 10


class LegacySourceError(Exception):
    """The old database can't be read; the message says why and what to do."""


class Trouble(NamedTuple):
    """A row that can't be read: where it stands and what is wrong with it."""

    table: str
    old_id: object
    sentence: str


class CodeFile(NamedTuple):
    """What the old system knew of one code; `code` None where only records name it."""

    text: str
    code: LegacyCode | None
    records: list[LegacyInvite]
    troubles: list[Trouble]


Row = Mapping[str, Any]


class _Tables(Protocol):
    """An open old database."""

    def columns(self, table: str) -> set[str]:
        """Columns that a table has; empty if there is no such table."""

    def rows(self, statement: str) -> Iterator[Row]:
        """Stream a statement's rows."""


class OldSystem:
    """The old system's tables, joined code by code."""

    def __init__(self, tables: _Tables) -> None:
        """Check that the tables are those of the old system.

        Raises:
            LegacySourceError: A table or a column without which nothing can be said is missing.
        """
        self._tables = tables
        for table, needed in NEEDED.items():
            columns = tables.columns(table)
            if not columns:
                raise LegacySourceError(f"there is no table {table} there: name the old system's own database")
            if missing := [column for column in needed if column not in columns]:
                raise LegacySourceError(f"the table {table} has no column {missing[0]}: is it the old system's?")

    def count(self) -> int:
        """How many codes there are."""
        return int(next(iter(self._tables.rows("SELECT count(*) AS n FROM redeem_codes")))["n"])

    def groups(self) -> dict[int, str]:
        """Names of the old system's groups by their ids; empty in versions that had none."""
        if not {"id", "name"} <= self._tables.columns("team_groups"):
            return {}
        return {row["id"]: str(row["name"]) for row in self._tables.rows("SELECT id, name FROM team_groups")}

    def texts(self) -> Iterator[tuple[int, str]]:
        """Id and text of every code."""
        for row in self._tables.rows("SELECT id, code FROM redeem_codes ORDER BY id"):
            yield row["id"], row["code"] if isinstance(row["code"], str) else ""

    def files(self) -> Iterator[CodeFile]:
        """Every code with its records, in the order of the codes' texts; then records of codes that are not there."""
        codes = self._tables.rows(_sorted("redeem_codes", "code"))
        records = _Groups(self._tables.rows(_sorted("invite_records", "redeem_code")))
        for row in codes:
            text = row["code"] if isinstance(row["code"], str) else ""
            for orphans in records.before(_key(text)):
                yield _file(_first_text(orphans), None, orphans)
            yield _file(text, row, records.at(_key(text)))
        for orphans in records.rest():
            yield _file(_first_text(orphans), None, orphans)

    def queue(self) -> Iterator[QueuedPerson | Trouble]:
        """Every row of the queue of invitations that were not sent yet; none in versions without that table."""
        if not {"id", "status"} <= self._tables.columns("invite_queue"):
            return
        for row in self._tables.rows("SELECT * FROM invite_queue ORDER BY id"):
            try:
                yield queued_person(row)
            except OldRowError as wrong:
                yield Trouble("invite_queue", row["id"], str(wrong))


class _Groups:
    """Rows of `invite_records` in groups of one code, taken in order."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next: Row | None = next(rows, None)

    def before(self, key: str) -> Iterator[list[Row]]:
        """Groups of lesser keys."""
        while self._next is not None and _key(self._next["redeem_code"]) < key:
            yield self._take(_key(self._next["redeem_code"]))

    def at(self, key: str) -> list[Row]:
        """The group of this key, empty if there is none."""
        return self._take(key)

    def rest(self) -> Iterator[list[Row]]:
        """What is left."""
        while self._next is not None:
            yield self._take(_key(self._next["redeem_code"]))

    def _take(self, key: str) -> list[Row]:
        found: list[Row] = []
        while self._next is not None and _key(self._next["redeem_code"]) == key:
            found.append(self._next)
            self._next = next(self._rows, None)
            if len(found) > RECORDS_PER_CODE_MAX:
                raise LegacySourceError(f"one code has more than {RECORDS_PER_CODE_MAX:,} rows in invite_records")
        return found


def _file(text: str, row: Row | None, rows: list[Row]) -> CodeFile:
    code, troubles, records = None, [], []
    if row is not None:
        try:
            code = old_code(row)
        except OldRowError as wrong:
            troubles.append(Trouble("redeem_codes", row["id"], str(wrong)))
    for found in rows:
        try:
            records.append(old_record(found))
        except OldRowError as wrong:
            troubles.append(Trouble("invite_records", found["id"], str(wrong)))
    records.sort(key=lambda record: record.old_id)
    return CodeFile(text, code, records, troubles)


def _first_text(rows: list[Row]) -> str:
    text = rows[0]["redeem_code"]
    return text if isinstance(text, str) else ""


_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _key(text: object) -> str:
    """What both tables are sorted by: the old system compared codes in upper case; both servers sort it by bytes."""
    return text.strip(" ").translate(_UPPER) if isinstance(text, str) else ""


def _sorted(table: str, column: str) -> str:
    return f"SELECT * FROM {table} ORDER BY upper(trim(coalesce({column}, '')) COLLATE {{bytes}}) COLLATE {{bytes}}, id"  # noqa: S608 - names are ours


class _Sqlite:
    """A SQLite file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def columns(self, table: str) -> set[str]:
        return {row["name"] for row in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}

    def rows(self, statement: str) -> Iterator[Row]:
        cursor = self._connection.execute(statement.format(bytes="BINARY"))
        while found := cursor.fetchmany(FETCHED):
            yield from map(dict, found)


class _Postgres:
    """A PostgreSQL database, in one read-only transaction."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection
        self._cursors = 0

    def columns(self, table: str) -> set[str]:
        asked = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
        return {row["attname"] for row in self._connection.execute(asked, (table,))}

    def rows(self, statement: str) -> Iterator[Row]:
        self._cursors += 1
        with self._connection.cursor(f"old_{self._cursors}") as cursor:
            cursor.itersize = FETCHED
            cursor.execute(statement.format(bytes='"C"').encode())
            yield from cursor


@contextmanager
def open_old_system(dsn: str) -> Iterator[OldSystem]:
    """Open the old database read-only; what is read is one moment of it.

    Args:
        dsn: `sqlite:////absolute/path.db` or `postgresql://...`; a driver's name after a plus sign is ignored.

    Raises:
        LegacySourceError: The DSN is neither, or nothing of the old system can be read there.
    """
    scheme = urlsplit(dsn).scheme.partition("+")[0]
    try:
        if scheme == "sqlite":
            with _sqlite(_path_of(dsn)) as connection:
                yield OldSystem(_Sqlite(connection))
        elif scheme in {"postgresql", "postgres"}:
            with _postgres("postgresql" + dsn[dsn.index("://") :]) as connection:
                yield OldSystem(_Postgres(connection))
        else:
            raise LegacySourceError("--dsn takes sqlite:////absolute/path.db or postgresql://user@host/database")
    except (sqlite3.Error, psycopg.Error) as fault:
        raise LegacySourceError(f"the old database can't be read: {str(fault).strip().splitlines()[0]}") from fault


def _path_of(dsn: str) -> Path:
    path = Path(unquote(dsn.partition(":")[2].removeprefix("//").removeprefix("/")))
    if not path.is_absolute():
        raise LegacySourceError(f"an absolute path is needed, with four slashes: sqlite:///{path.absolute()}")
    if not path.is_file():
        raise LegacySourceError(f"there is no file {path}")
    return path


@contextmanager
def _sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


@contextmanager
def _postgres(url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(url, row_factory=dict_row, connect_timeout=CONNECT_S_MAX) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield connection
