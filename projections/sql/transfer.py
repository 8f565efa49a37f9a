"""Statements that export and import the log and the vault."""

from typing import LiteralString

from projections.sql import Statements


class TransferSql(Statements, file="transfer.sql"):
    """Each attribute is the text of the statement of that name."""

    copy_log_by_position: LiteralString
    count_events_until: LiteralString
    copy_log_in: LiteralString
    lock_all_writers_out: LiteralString
    rows_in_the_way: LiteralString
    insert_numbered_checkpoint: LiteralString
    columns_with_sequences: LiteralString
    all_tables: LiteralString
    foreign_keys: LiteralString
    vault_rows_in_the_way: LiteralString
    all_key_checks: LiteralString
