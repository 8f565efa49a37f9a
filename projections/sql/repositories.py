"""Statements over the mutable tables next to the log."""

from typing import Final, LiteralString

from projections.sql import Statements
from projections.sql.table import Table
from projections.sql.term_columns import TERM_COLUMNS

BATCHES: Final = Table(
    "batches",
    key=("batch_id",),
    columns={
        "batch_id": "uuid",
        "kind": "text",
        "state": "text",
        "requested_at": "timestamptz",
        "ended_at": "timestamptz",
        "staff_id": "uuid",
        "text_id": "uuid",
        "prefix": "text",
        "bound": "boolean",
        "wanted": "bigint",
        "done": "bigint",
        "refused": "bigint",
        "runner": "uuid",
        "lease_until": "timestamptz",
        "campaign_id": "uuid",
        "approved_by": "uuid",
        **TERM_COLUMNS,
    },
)
APPROVALS: Final = Table(
    "approvals",
    key=("approval_id",),
    columns={
        "approval_id": "uuid",
        "kind": "text",
        "subject_id": "uuid",
        "asked": "text",
        "fingerprint": "bytea",
        "sealed": "bytea",
        "key_id": "smallint",
        "actor": "text",
        "actor_id": "text",
        "proposer_id": "uuid",
        "proposed_at": "timestamptz",
        "expires_at": "timestamptz",
        "state": "text",
        "decided_by": "uuid",
        "decided_at": "timestamptz",
        "outcome": "text",
    },
)


class RepositoriesSql(Statements, file="repositories.sql", tables=(APPROVALS, BATCHES)):
    """Each attribute is the text of the statement of that name."""

    insert_batch: LiteralString
    batch_of_id: LiteralString
    newest_batches: LiteralString
    oldest_batches: LiteralString
    claim_batch: LiteralString
    break_left_imports: LiteralString
    note_batch: LiteralString
    end_batch: LiteralString
    insert_batch_codes: LiteralString
    codes_of_batch: LiteralString
    insert_batch_refusals: LiteralString
    refusals_of_batch: LiteralString
    insert_key_name: LiteralString
    insert_named_key: LiteralString
    revoke_key: LiteralString
    end_key: LiteralString
    lock_key: LiteralString
    set_key_networks: LiteralString
    record_key_use: LiteralString
    record_key_refusal: LiteralString
    newest_keys: LiteralString
    oldest_keys: LiteralString
    newest_staff: LiteralString
    keys_beyond_rights: LiteralString
    list_staff: LiteralString
    lock_staff: LiteralString
    admins_besides: LiteralString
    role_of_staff: LiteralString
    staff_of_id: LiteralString
    admins_who_can_sign_in: LiteralString
    drop_old_links: LiteralString
    end_links: LiteralString
    insert_link: LiteralString
    link_of_digest: LiteralString
    use_link: LiteralString
    pending_links: LiteralString
    record_link_mail: LiteralString
    set_staff_role: LiteralString
    set_staff_password: LiteralString
    replace_password_hash: LiteralString
    clear_break_glass: LiteralString
    set_break_glass: LiteralString
    remove_staff: LiteralString
    account_of_identity: LiteralString
    account_of_address: LiteralString
    connect_identity: LiteralString
    forget_password: LiteralString
    sign_in_of_staff: LiteralString
    end_sessions_of_provider: LiteralString
    end_provider_sessions_of_staff: LiteralString
    add_staff: LiteralString
    channel_of_group: LiteralString
    groups_with_channels: LiteralString
    groups_of_reservations: LiteralString
    set_channel_of_group: LiteralString
    unset_channel_of_group: LiteralString
    channel_of_id: LiteralString
    list_channels: LiteralString
    valid_secrets: LiteralString
    lock_secrets: LiteralString
    end_secrets: LiteralString
    insert_secret: LiteralString
    drop_ended_secrets: LiteralString
    take_callback: LiteralString
    refuse_callback: LiteralString
    refused_callbacks: LiteralString
    groups_that_take_rebinds: LiteralString
    takes_rebinds: LiteralString
    reserved_in_group: LiteralString
    let_group_take_rebinds: LiteralString
    group_of_name: LiteralString
    upsert_group: LiteralString
    branding_of_group: LiteralString
    set_branding_of_group: LiteralString
    names_of_groups: LiteralString
    insert_note: LiteralString
    keep_issue_key: LiteralString
    exchange_limit_reports: LiteralString
    insert_api_key: LiteralString
    upsert_staff: LiteralString
    staff_of_digests: LiteralString
    credentials_of_staff: LiteralString
    staff_addresses: LiteralString
    open_session: LiteralString
    sessions_of_staff: LiteralString
    end_sessions_of_staff: LiteralString
    record_session_use: LiteralString
    renew_session_proof: LiteralString
    end_session: LiteralString
    staff_of_session: LiteralString
    roles_of_sessions: LiteralString
    insert_audit: LiteralString
    insert_audit_with_reason: LiteralString
    audit_of_staff_since: LiteralString
    plan_audit_filters: LiteralString
    newest_audit_entries: LiteralString
    oldest_audit_entries: LiteralString
    kinds_of_subjects: LiteralString
    keys_of_ids: LiteralString
    insert_endpoint: LiteralString
    endpoint_of_id: LiteralString
    newest_endpoints: LiteralString
    list_endpoints: LiteralString
    change_endpoint: LiteralString
    set_endpoint_state: LiteralString
    end_secrets_of_owner: LiteralString
    take_endpoint: LiteralString
    release_endpoint: LiteralString
    own_endpoint: LiteralString
    count_pending: LiteralString
    next_positions: LiteralString
    insert_deliveries: LiteralString
    advance_endpoint: LiteralString
    due_deliveries: LiteralString
    record_deliveries: LiteralString
    note_endpoint: LiteralString
    hurry_deliveries: LiteralString
    insert_test_delivery: LiteralString
    list_deliveries: LiteralString
    redeliver: LiteralString
    count_failed: LiteralString
    redeliver_failed: LiteralString
    save_view: LiteralString
    remove_view: LiteralString
    saved_views: LiteralString
    insert_approval: LiteralString
    open_approval_of_fingerprint: LiteralString
    approval_of_id: LiteralString
    newest_approvals: LiteralString
    oldest_approvals: LiteralString
    count_approvals_to_decide: LiteralString
    approve_proposal: LiteralString
    close_proposal: LiteralString
    finish_approved: LiteralString
    expire_approvals: LiteralString
    prune_approvals: LiteralString
