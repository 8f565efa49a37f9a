"""Statements of rebuilds: shadow tables, copies of the log, progress."""

from typing import LiteralString

from projections.sql import Statements


class RebuildSql(Statements, file="rebuild.sql"):
    """Each attribute is the text of the statement of that name."""

    set_rebuild_progress: LiteralString
    delete_rebuild_progress: LiteralString
    copy_log_range: LiteralString
    merkle_leaves: LiteralString
    disable_parallel_queries: LiteralString
    longest_streams: LiteralString
    events_between: LiteralString
    events_between_of_stream: LiteralString
    positions_of_events: LiteralString
    last_versions_of_codes: LiteralString
    table_of_name: LiteralString
    columns_of_table: LiteralString
    index_constraints_of_table: LiteralString
    plain_indexes_of_table: LiteralString
    grants_of_table: LiteralString
    dependents_of_tables: LiteralString
    lock_rebuild: LiteralString
    rebuild_lock_holder: LiteralString
    create_out_of_order_events: LiteralString
    copy_out_of_order_events: LiteralString
    out_of_order_events_page: LiteralString
    delete_snapshots: LiteralString
    reset_reservation_map: LiteralString
    delete_history_blocks: LiteralString
