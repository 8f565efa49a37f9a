"""Statements that erase and export a person's data and rotate keys."""

from typing import LiteralString

from projections.sql import Statements


class PrivacySql(Statements, file="privacy.sql"):
    """Each attribute is the text of the statement of that name."""

    recipients_by_id: LiteralString
    recipients_of_digests: LiteralString
    share_addresses: LiteralString
    hold_addresses: LiteralString
    in_flight: LiteralString
    lease_test_email: LiteralString
    end_test_email: LiteralString
    delete_test_emails_of_digests: LiteralString
    live_of_recipient: LiteralString
    outlook_of_recipient: LiteralString
    delete_refusals_of_digests: LiteralString
    delete_limit_reports_of_digests: LiteralString
    delete_keys_of_recipient: LiteralString
    lock_recipient: LiteralString
    texts_of_recipient: LiteralString
    text_events_of_codes: LiteralString
    unsaid_texts: LiteralString
    delete_texts: LiteralString
    delete_recipient: LiteralString
    count_other_keys: LiteralString
    codes_of_other_keys: LiteralString
    recipients_of_other_keys: LiteralString
    staff_of_other_keys: LiteralString
    identities_of_other_keys: LiteralString
    factors_of_other_keys: LiteralString
    texts_of_other_keys: LiteralString
    hand_out_rows_of_other_keys: LiteralString
    rekey_hand_out_rows: LiteralString
    approvals_of_other_keys: LiteralString
    rekey_approvals: LiteralString
    expire_approvals_of_recipient: LiteralString
    hand_out_rows_of_recipient: LiteralString
    suffixes_of_codes: LiteralString
    rekey_codes: LiteralString
    rekey_recipients: LiteralString
    rekey_staff: LiteralString
    rekey_identities: LiteralString
    rekey_factors: LiteralString
    rekey_texts: LiteralString
    refusals_of_other_peppers: LiteralString
    codes_of_recipient: LiteralString
    redeemable_codes_of_recipient: LiteralString
    audit_of_subjects: LiteralString
    idempotency_keys_of_reservations: LiteralString
    outbox_of_reservations: LiteralString
    waiting_places_of_person: LiteralString
    delete_ended_places: LiteralString
    mark_keys_exported: LiteralString
    exported_keys: LiteralString
    insert_opt_out: LiteralString
    delete_opt_out: LiteralString
    opt_outs_of_recipient: LiteralString
    opted_out: LiteralString
    suppressed: LiteralString
    suppressions_of_recipient: LiteralString
    has_recipient_of_reservation: LiteralString
    has_recipient_of_code: LiteralString
    reported_offer: LiteralString
    suppressions_at: LiteralString
    lift_suppressions: LiteralString
    has_erased: LiteralString
    recipients_after: LiteralString
    why_kept: LiteralString
    created_hand_outs_of_lines: LiteralString
    newest_events_of_recipients: LiteralString
    address_retention_progress: LiteralString
    set_address_retention_progress: LiteralString
