"""Statements that export and import the log and the vault."""

from typing import LiteralString

from projections.sql import Statements
from projections.sql.event_store import EVENTS


class TransferSql(Statements, file="transfer.sql", tables=(EVENTS,)):
    """Each attribute is the text of the statement of that name."""

    copy_log_by_position: LiteralString
    count_events_until: LiteralString
    copy_imported_log: LiteralString
    lock_writers_exclusive: LiteralString
    insert_numbered_checkpoint: LiteralString
    columns_with_sequences: LiteralString
    all_tables: LiteralString
    foreign_keys: LiteralString
    conflicting_vault_rows: LiteralString
    restore_waiting_places: LiteralString
    all_key_checks: LiteralString
