"""The old system's tables, made as its migrations left them, on SQLite or PostgreSQL."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg

CODES: Final = """CREATE TABLE redeem_codes (id integer PRIMARY KEY, code varchar(50), code_type varchar(10),
    max_uses integer, used_count integer, expires_at timestamp, is_active boolean, note text,
    group_id integer, created_at timestamp, validity_days integer, activated_at timestamp, bound_email varchar(100),
    rebind_count integer, rebind_limit integer, status varchar(20), removed_at timestamp)"""
RECORDS: Final = """CREATE TABLE invite_records (id integer PRIMARY KEY, team_id integer, email varchar(100),
    status varchar(20), error_message text, redeem_code varchar(50), created_at timestamp,
    accepted_at timestamp, is_rebind boolean, consumed_at timestamp)"""
QUEUE: Final = """CREATE TABLE invite_queue (id integer PRIMARY KEY, email varchar(100), redeem_code varchar(50),
    group_id integer, status varchar(20), retry_count integer, created_at timestamp)"""
GROUPS: Final = "CREATE TABLE team_groups (id integer PRIMARY KEY, name varchar(50))"

Row = dict[str, Any]

BASE_CODE: Final[Row] = {
    "code_type": "direct",
    "max_uses": 5,
    "used_count": 0,
    "is_active": True,
    "created_at": "2026-01-05 10:00:00",
    "validity_days": 30,
    "rebind_count": 0,
    "rebind_limit": 1,
    "status": "bound",
}


def code(old_id: int, text: str, **more: Any) -> Row:
    return {**BASE_CODE, "id": old_id, "code": text, **more}


def record(old_id: int, text: str | None, email: str = "li.wei@example.com", **more: Any) -> Row:
    """A row of `invite_records`; it proves an invitation unless told otherwise."""
    base = {"id": old_id, "redeem_code": text, "email": email, "status": "success", "created_at": "2026-01-06 09:30:00"}
    return {**base, **more}


def queued(old_id: int, text: str | None, status: str = "waiting", **more: Any) -> Row:
    base = {"id": old_id, "redeem_code": text, "email": f"waits{old_id}@example.com", "status": status}
    return {**base, "created_at": "2026-01-09 08:00:00", **more}


def sqlite(
    path: Path,
    codes: Iterable[Row],
    records: Iterable[Row],
    groups: Iterable[Row] = (),
    queue: Iterable[Row] = (),
) -> str:
    """Make the old database as a file; its DSN."""
    tables = (("redeem_codes", codes), ("invite_records", records), ("team_groups", groups), ("invite_queue", queue))
    with sqlite3.connect(path) as connection:
        for statement in (CODES, RECORDS, GROUPS, QUEUE):
            connection.execute(statement)
        for table, rows in tables:
            for row in rows:
                connection.execute(_insert(table, row, "?"), list(row.values()))
    connection.close()
    return f"sqlite:///{path}"


def postgres(url: str, codes: Iterable[Row], records: Iterable[Row], groups: Iterable[Row] = ()) -> str:
    """Make the old tables in an empty database; its DSN, with a driver's name as the old system wrote it."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (CODES, RECORDS, GROUPS):
            connection.execute(statement.encode())
        for table, rows in (("redeem_codes", codes), ("invite_records", records), ("team_groups", groups)):
            for row in rows:
                connection.execute(_insert(table, row, "%s").encode(), list(row.values()))
    return url.replace("postgresql://", "postgresql+psycopg2://")


def _insert(table: str, row: Row, mark: str) -> str:
    columns: Sequence[str] = list(row)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(mark for _ in columns)})"  # noqa: S608 - names are ours
