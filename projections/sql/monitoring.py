"""Statements behind metrics and health checks."""

from typing import LiteralString

from projections.sql import Statements


class MonitoringSql(Statements, file="monitoring.sql"):
    """Each attribute is the text of the statement of that name."""

    recent_requests: LiteralString
    lock_counter_progress: LiteralString
    next_counter_position: LiteralString
    count_event_types: LiteralString
    events_with_counted_fields: LiteralString
    seconds_from_click: LiteralString
    increment_counters: LiteralString
    set_counter_position: LiteralString
    counters: LiteralString
    ledger_gauges: LiteralString
    oldest_unrelayed: LiteralString
    relays_lately: LiteralString
    cloud_event_senders: LiteralString
    ending_keys: LiteralString
    server_facts: LiteralString
    backlog: LiteralString
    size_of_vault: LiteralString
    endpoints_lately: LiteralString
    has_break_glass: LiteralString
    scheduler: LiteralString
    database_facts: LiteralString
    backup_state: LiteralString
    slot_status: LiteralString
