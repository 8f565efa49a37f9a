"""Statements of rebuilds: shadow tables, copies of the log, progress."""

from typing import LiteralString

from projections.sql import Statements


class RebuildSql(Statements, file="rebuild.sql"):
    """Each attribute is the text of the statement of that name."""

    set_rebuild_progress: LiteralString
    forget_rebuild_progress: LiteralString
    copy_log_stretch: LiteralString
    merkle_leaves: LiteralString
    one_process_only: LiteralString
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
    what_hangs_on_tables: LiteralString
    lock_rebuild: LiteralString
    who_rebuilds: LiteralString
    create_late_events: LiteralString
    copy_late_events: LiteralString
    late_events_page: LiteralString
    forget_snapshots: LiteralString
