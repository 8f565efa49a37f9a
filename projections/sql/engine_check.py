"""Statements of the checks of an engine; those with `{scratch}` are about tables of the check itself."""

from typing import LiteralString

from projections.sql import Statements


class EngineCheckSql(Statements, file="engine_check.sql"):
    """Each attribute is the text of the statement of that name."""

    server_process: LiteralString
    engine_facts: LiteralString
    scratch_facts: LiteralString
    lock_pair: LiteralString
    try_pair: LiteralString
    lock_key: LiteralString
    try_key: LiteralString
    lock_shared: LiteralString
    lock_session: LiteralString
    try_session: LiteralString
    unlock_session: LiteralString
    limit_lock_wait: LiteralString
    is_awaited: LiteralString
    own_transaction: LiteralString
    sees_transaction: LiteralString
    sequence_cache: LiteralString
    create_positions: LiteralString
    take_position: LiteralString
    highest_position: LiteralString
    create_log: LiteralString
    create_refusal: LiteralString
    refuse_row_changes: LiteralString
    refuse_truncate: LiteralString
    add_to_log: LiteralString
    update_log: LiteralString
    delete_log: LiteralString
    truncate_log: LiteralString
    missing_refusals: LiteralString
    create_rows: LiteralString
    add_rows: LiteralString
    claim_row: LiteralString
    claim_check_value: LiteralString
    claim_same_check_value: LiteralString
    in_order: LiteralString
    copy_in: LiteralString
    copy_out: LiteralString
    current_role: LiteralString
    assumable_role: LiteralString
    durability: LiteralString
    session_settings: LiteralString
