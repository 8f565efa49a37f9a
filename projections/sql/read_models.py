"""Statements that read codes, reservations, cases and the event feed."""

from typing import LiteralString

from projections.sql import Statements


class ReadModelsSql(Statements, file="read_models.sql"):
    """Each attribute is the text of the statement of that name."""

    texts_of_codes: LiteralString
    newest_codes: LiteralString
    newest_codes_of_group: LiteralString
    bound_question: LiteralString
    redemptions_over_time: LiteralString
    refused_over_time: LiteralString
    refusals_by_reason: LiteralString
    refunds_by_cause: LiteralString
    newest_sent: LiteralString
    waits: LiteralString
    middle_waits: LiteralString
    busiest_codes: LiteralString
    waiting_now: LiteralString
    kept_access: LiteralString
    held_of_code: LiteralString
    private_texts_of_ids: LiteralString
    refusals_of_person: LiteralString
    count_reservations_of_recipient: LiteralString
    digests_of_recipient: LiteralString
    followers_of_reservations: LiteralString
    companions: LiteralString
    versions_of_person_newest_first: LiteralString
    versions_of_person_oldest_first: LiteralString
    events_of_person_newest_first: LiteralString
    events_of_person_oldest_first: LiteralString
    count_events_of_person: LiteralString
    events_caused_by: LiteralString
    drifting: LiteralString
    reservations_from: LiteralString
    reservations_of_code_from: LiteralString
    codes_of_group_from: LiteralString
    codes_of_campaign_from: LiteralString
    events_after: LiteralString
    events_after_of_stream: LiteralString
    position_of_version: LiteralString
    newest_version_of_stream: LiteralString
    newest_position: LiteralString
    first_events_of_texts: LiteralString
    person_of_reservations: LiteralString
    list_cases: LiteralString
    parked_unknowns: LiteralString
    sent_unaccepted: LiteralString
    addresses_of_reservations: LiteralString
    code_text: LiteralString
    private_text: LiteralString
    live_reservations_of_code: LiteralString
    count_sent_of_code: LiteralString
    read_only: LiteralString
    api_key_of_digest: LiteralString
    list_codes: LiteralString
    campaign_of_id: LiteralString
    campaign_of_code: LiteralString
    campaign_name_of_code: LiteralString
    list_campaigns: LiteralString
    newest_campaigns: LiteralString
    state_of_campaign: LiteralString
    newest_open_campaigns: LiteralString
    names_of_newest_campaigns: LiteralString
    newest_codes_of_campaign: LiteralString
    count_refusals: LiteralString
    newest_refusals: LiteralString
    reports_of_campaign: LiteralString
    funnel_of_campaign: LiteralString
    handed_out_of_campaign: LiteralString
    balance_of_code: LiteralString
    balances_of_codes: LiteralString
    copy_log_page: LiteralString
    codes_of_suffix: LiteralString
    code_texts_of_suffixes: LiteralString
    recent_code_texts: LiteralString
    recent_recipients: LiteralString
    ids_with_part: LiteralString
    suffix_of_code: LiteralString
    newest_reservations: LiteralString
    reservation_cards: LiteralString
    reservations_of_recipient: LiteralString
    recipient_text: LiteralString
    rows_of_list: LiteralString
    open_cases_count: LiteralString
    stuck_reservations: LiteralString
    refusals_of_code: LiteralString
    versions_newest_first: LiteralString
    versions_oldest_first: LiteralString
    version_of_code: LiteralString
    version_of_campaign: LiteralString
    versions_of_codes: LiteralString
    versions_of_reservation: LiteralString
    reservations_related_at: LiteralString
    reservations_pending_at: LiteralString
    deadline_of_pending_at: LiteralString
    campaign_uses_newest_first: LiteralString
    sent_until: LiteralString
    history_blocks: LiteralString
    upsert_history_blocks: LiteralString
    clear_former_traces: LiteralString
    codes_with_missing_blocks: LiteralString
    campaigns_with_missing_blocks: LiteralString
    delete_outdated_blocks: LiteralString
