"""Exporting the primary data outside the log as JSON Lines, and importing it into another database.

It is the encrypted vault, rejected requests, idempotency keys, staff, API keys and the audit log: every table but those
named here, so a table that a later version adds is exported too. The file and the keyrings together reveal every email
address and code; without the keyrings the file shows hashes and times.
"""

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any, BinaryIO, Final, NamedTuple

import orjson
from psycopg import Connection, sql

from projections.database.connection import open_maintenance_connection
from projections.database.errors import translate_outage
from projections.database.migrations import list_migrations
from projections.definitions.registry import PROJECTIONS
from projections.replay.observer import Progress
from projections.sql.transfer import TransferSql
from projections.storage.key_check import compare_key_ring
from projections.transfer.checksummed_lines import DamagedFileError, LineWriter, read_lines
from projections.transfer.log_import import NotEmptyError, advance_sequences
from projections.vault.vault import Vault

FORMAT = "redemption-ledger vault 1"
BATCH_ROWS = 500
EXCLUDED_TABLES: Final = {
    "ledger_events": "is in the file of events",
    **dict.fromkeys((*PROJECTIONS, "merkle_tiles", "merkle_progress"), "rebuilt from the events"),
    **dict.fromkeys(("reservation_map_tiles", "reservation_map_progress"), "rebuilt from the events"),
    **dict.fromkeys(("code_snapshots", "history_blocks", "tallies", "tally_progress"), "rebuilt from the events"),
    "checkpoints": "are in the file of events",
    **dict.fromkeys(("verifications", "drifting_codes", "rebuild_progress"), "describe the other database"),
    "accepted_times": "is about the clock of the other database",
    "dispatches": "wake-up messages of the last minutes: the sweep sends its own",
    "staff_sessions": "staff sign in again",
    "staff_links": "staff ask for another link",
    "test_emails": "are being sent by the other system",
    "threshold_digest": "begins at the end of the log",
    "relays": "begin again: a position may be after the end of the file of events",
}
"""Tables that are not exported, and why."""


class TransferCounts(NamedTuple):
    """How many rows there were, by table.

    Attributes:
        kept: Rows of the file that the database had already, which stayed as they were.
    """

    rows: dict[str, int]
    kept_rows: dict[str, int]


def export_vault(database_url: str, out: BinaryIO, progress: Progress) -> TransferCounts:
    """Write the primary data from one snapshot.

    Take it after the log: then it holds everything that the log's file names.

    Raises:
        StorageUnavailableError: The database is or became unavailable.
        OSError: The file can't be written.
    """
    with translate_outage("export"), open_maintenance_connection(database_url, "export") as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return _export_tables(conn, LineWriter(out), progress)


def import_vault(database_url: str, source: BinaryIO, vault: Vault, progress: Progress) -> TransferCounts:
    """Import a file into a database whose vault is empty, in one transaction.

    Raises:
        NotEmptyError: The vault is not empty, or the file is of another version's schema; nothing has changed.
        WrongKeysError: The keyrings are not those of the file.
        DamagedFileError: The file is cut or altered; nothing has changed.
        StorageUnavailableError: The database is or became unavailable.
    """
    with (
        translate_outage("import", owner_work="an import"),
        open_maintenance_connection(database_url, "import") as conn,
        conn.transaction(),
    ):
        conn.execute(TransferSql.lock_writers_exclusive)
        row = conn.execute(TransferSql.conflicting_vault_rows).fetchone()
        if row and row[0]:
            raise NotEmptyError("the vault already holds rows: import it into a new, migrated database")
        return _import_tables(conn, source, vault, progress)


def exported_tables(conn: Connection[Any]) -> list[str]:
    """Return the tables that are exported, each after those that its rows refer to."""
    names_found = [row[0] for row in conn.execute(TransferSql.all_tables)]
    names = [name for name in names_found if name not in EXCLUDED_TABLES and "yoyo" not in name]
    sorter = TopologicalSorter({name: set[str]() for name in names})
    for table, referenced in conn.execute(TransferSql.foreign_keys):
        if table in names and referenced in names and table != referenced:
            sorter.add(table, referenced)
    return list(sorter.static_order())


def _export_tables(conn: Connection[Any], lines: LineWriter, progress: Progress) -> TransferCounts:
    keys: dict[str, dict[str, str]] = {}
    for ring, key_id, value in conn.execute(TransferSql.all_key_checks):
        keys.setdefault(ring, {})[str(key_id)] = bytes(value).hex()
    lines.write({"format": FORMAT, "schema": list_migrations(), "keys": keys})
    transferred = TransferCounts({}, {})
    for table in exported_tables(conn):
        progress.step(table, 0)
        transferred.rows[table] = 0
        for row in _rows(conn, table):
            lines.write({"table": table, "row": orjson.Fragment(row)})
            transferred.rows[table] += 1
    lines.write({"end": transferred.rows})
    return transferred


def _rows(conn: Connection[Any], table: str) -> Iterator[str]:
    """Yield each row as JSON that PostgreSQL reads back to the same values."""
    statement = sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier(table))
    with conn.cursor(name="travel") as cursor:
        cursor.execute(statement)
        while page := cursor.fetchmany(BATCH_ROWS):
            yield from (row[0] for row in page)


def _import_tables(conn: Connection[Any], source: BinaryIO, vault: Vault, progress: Progress) -> TransferCounts:
    tables = set(exported_tables(conn))
    # Such as a key that replaces another one, in any order: the references are checked at the end of a statement.
    undivided = {table for table, referenced in conn.execute(TransferSql.foreign_keys) if table == referenced}
    transferred = TransferCounts({}, {})
    batch: list[Any] = []
    current, end = "", None
    for number, document in read_lines(source, FORMAT):
        if "format" in document:
            _check_header(document, vault)
        elif "end" in document:
            end = document["end"]
        else:
            if (table := document.get("table")) not in tables or "row" not in document:
                raise DamagedFileError(number, f"the line belongs to {table!r}, which is not part of an export")
            if table != current or (len(batch) >= BATCH_ROWS and table not in undivided):
                _insert_batch(conn, current, batch, transferred)
                if table != current:
                    progress.step(table, 0)
                current = table
            batch.append(document["row"])
    _insert_batch(conn, current, batch, transferred)
    counts = {table: transferred.rows.get(table, 0) + transferred.kept_rows.get(table, 0) for table in end or {}}
    if counts != end:
        raise DamagedFileError(sum(counts.values()) + 2, "the end line does not match the rows")
    for table in transferred.rows:
        advance_sequences(conn, table)
    return transferred


def _check_header(document: Mapping[str, Any], vault: Vault) -> None:
    if document["schema"] != list_migrations():
        raise NotEmptyError(
            f"the file is of schema {document['schema'][-1]} and this version's is {list_migrations()[-1]}:"
            " import it with the version that wrote it, then upgrade"
        )
    for name, ring in vault.rings.items():
        stored = {int(key_id): bytes.fromhex(value) for key_id, value in document["keys"].get(name, {}).items()}
        compare_key_ring(name, ring, stored, "the file")


def _insert_batch(conn: Connection[Any], table: str, batch: list[Any], transferred: TransferCounts) -> None:
    """Insert rows; existing ones, such as those of a first start, stay as they are."""
    if not batch:
        return
    statement = sql.SQL(
        "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_recordset(NULL::{0}, %s::jsonb)"
        " ON CONFLICT DO NOTHING"
    ).format(sql.Identifier(table))
    inserted = conn.execute(statement, (orjson.dumps(batch).decode(),)).rowcount
    transferred.rows[table] = transferred.rows.get(table, 0) + inserted
    transferred.kept_rows[table] = transferred.kept_rows.get(table, 0) + len(batch) - inserted
    batch.clear()
