"""Statements of the write side: events, streams, vault rows and read models of one commit."""

from typing import Final, LiteralString

from projections.sql import Statements
from projections.sql.table import Table

EVENTS: Final = Table(
    "ledger_events",
    key=("originator_id", "originator_version"),
    columns={"originator_id": "uuid", "originator_version": "bigint", "topic": "text", "state": "bytea"},
)
RECIPIENTS: Final = Table(
    "recipients",
    key=("recipient_id",),
    columns={
        "recipient_id": "uuid",
        "digest": "bytea",
        "pepper_id": "smallint",
        "sealed": "bytea",
        "key_id": "smallint",
        "mailbox_digest": "bytea",
    },
)
CODE_TEXTS: Final = Table(
    "code_texts",
    key=("code_id",),
    columns={
        "code_id": "uuid",
        "digest": "bytea",
        "pepper_id": "smallint",
        "sealed": "bytea",
        "key_id": "smallint",
        "hint": "text",
    },
)
NEW_TEXTS: Final = Table(
    "new_texts",
    key=(),
    columns={
        "text_id": "uuid",
        "reservation_id": "uuid",
        "code_id": "uuid",
        "recipient_ids": "uuid[]",
        "sealed": "bytea",
        "key_id": "smallint",
    },
)
"""Texts as a statement takes them: about these persons, and about the one to whom the code was handed out."""
IDEMPOTENCY_KEYS: Final = Table(
    "idempotency_keys",
    key=("scope_digest",),
    columns={
        "scope_digest": "bytea",
        "body_digest": "bytea",
        "reservation_id": "uuid",
        "expires_at": "timestamptz",
    },
)
SUPPRESSED: Final = Table(
    "suppressed_addresses",
    key=("recipient_id", "cause", "group_name"),
    columns={
        "recipient_id": "uuid",
        "cause": "text",
        "group_name": "text",
        "is_of_group": "boolean",
        "since": "timestamptz",
        "until": "timestamptz",
    },
)
REJECTED_ATTEMPTS: Final = Table(
    "refusals",
    key=(),
    columns={
        "code_id": "uuid",
        "at": "timestamptz",
        "recipient_digest": "bytea",
        "pepper_id": "smallint",
        "reason": "text",
    },
)
OUTBOX: Final = Table(
    "outbox",
    key=("reservation_id", "template"),
    columns={
        "reservation_id": "uuid",
        "template": "text",
        "written_at": "timestamptz",
        "due_at": "timestamptz",
    },
)
REVOCATIONS: Final = Table("revocations", key=("code_id",), columns={"code_id": "uuid", "next_at": "timestamptz"})
SNAPSHOTS: Final = Table(
    "code_snapshots",
    key=("code_id", "shape"),
    columns={"code_id": "uuid", "shape": "text", "version": "bigint", "state": "bytea"},
)


class EventStoreSql(
    Statements,
    file="event_store.sql",
    tables=(
        EVENTS,
        RECIPIENTS,
        CODE_TEXTS,
        NEW_TEXTS,
        IDEMPOTENCY_KEYS,
        SUPPRESSED,
        REJECTED_ATTEMPTS,
        OUTBOX,
        REVOCATIONS,
        SNAPSHOTS,
    ),
):
    """Each attribute is the text of the statement of that name."""

    hand_out_of_id: LiteralString
    listed_places: LiteralString
    insert_given_code: LiteralString
    texts_of_hand_outs: LiteralString
    save_hand_out_texts: LiteralString
    make_hand_out_mails_due: LiteralString
    insert_waiting_place: LiteralString
    make_waiting_offer_due: LiteralString
    known_texts: LiteralString
    suppressions_of_recipients: LiteralString
    insert_suppressions: LiteralString
    insert_complaints: LiteralString
    events_of_held_reservations: LiteralString
    insert_revocations: LiteralString
    events_of_request: LiteralString
    events_of_rebinds: LiteralString
    code_ids_of_digests: LiteralString
    code_ids_of_reservations: LiteralString
    codes_of_digests: LiteralString
    codes_of_reservations: LiteralString
    campaigns_of_codes: LiteralString
    uses_of_persons: LiteralString
    uses_of_mailboxes: LiteralString
    most_uses_of_a_person: LiteralString
    existing_uses: LiteralString
    earliest_deadlines_of_campaigns: LiteralString
    lock_streams: LiteralString
    lock_append_order: LiteralString
    lock_shared_writer: LiteralString
    newer_events: LiteralString
    recipient_ids_of_digests: LiteralString
    events_of_persons: LiteralString
    events_of_reservations: LiteralString
    newer_events_of_reservations: LiteralString
    events_of_followers: LiteralString
    events_of_newer_reservations: LiteralString
    events_of_overdue: LiteralString
    earliest_deadlines: LiteralString
    idempotency_keys: LiteralString
    insert_recipients: LiteralString
    insert_code_texts: LiteralString
    insert_private_texts: LiteralString
    insert_events: LiteralString
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
    campaigns_with_stale_snapshot: LiteralString
    delete_outdated_snapshots: LiteralString
