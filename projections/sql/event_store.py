"""Statements of the write side: events, streams, vault rows and read models of one commit."""

from typing import LiteralString

from projections.sql import Statements


class EventStoreSql(Statements, file="event_store.sql"):
    """Each attribute is the text of the statement of that name."""

    known_texts: LiteralString
    events_of_held_reservations: LiteralString
    insert_revocations: LiteralString
    events_of_request: LiteralString
    events_of_rebinds: LiteralString
    code_ids_of_digests: LiteralString
    code_ids_of_reservations: LiteralString
    lock_streams: LiteralString
    lock_append_order: LiteralString
    lock_shared_writer: LiteralString
    newer_events: LiteralString
    recipient_ids_of_digests: LiteralString
    events_of_persons: LiteralString
    events_of_reservations: LiteralString
    events_of_followers: LiteralString
    events_of_newer_reservations: LiteralString
    events_of_overdue: LiteralString
    earliest_deadlines: LiteralString
    idempotency_keys: LiteralString
    insert_recipients: LiteralString
    insert_code_texts: LiteralString
    insert_private_texts: LiteralString
    insert_events: LiteralString
    upsert_balances: LiteralString
    upsert_reservations: LiteralString
    insert_cases: LiteralString
    close_cases: LiteralString
    insert_outbox: LiteralString
    insert_idempotency_keys: LiteralString
    insert_rejected_attempts: LiteralString
    count_unknown_codes: LiteralString
    key_checks: LiteralString
    insert_key_check: LiteralString
    stream_events: LiteralString
    stable_position: LiteralString
    lock_exclusive_writer: LiteralString
    snapshots_of_codes: LiteralString
    upsert_snapshots: LiteralString
    codes_with_stale_snapshot: LiteralString
    delete_outdated_snapshots: LiteralString
