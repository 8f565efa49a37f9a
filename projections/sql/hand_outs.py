"""Statements of hand-outs: their lists, the states of recipients, and the emails that are due."""

from typing import LiteralString

from projections.sql import Statements


class HandOutsSql(Statements, file="hand_outs.sql"):
    """Each attribute is the text of the statement of that name."""

    hand_out_with_terms: LiteralString
    newest_hand_outs_of_campaign: LiteralString
    hand_outs_of_campaign: LiteralString
    hand_outs_of_ids: LiteralString
    insert_list_recipients: LiteralString
    lock_lists: LiteralString
    insert_upload: LiteralString
    may_upload_continue: LiteralString
    take_uploads_over: LiteralString
    end_upload: LiteralString
    start_pace: LiteralString
    release_codes: LiteralString
    insert_list_rows: LiteralString
    seal_list_rows: LiteralString
    listed_recipients: LiteralString
    rows_of_mailboxes: LiteralString
    given_codes: LiteralString
    list_people: LiteralString
    person_of_code: LiteralString
    code_of_recipient: LiteralString
    count_listed: LiteralString
    place_of_code: LiteralString
    codes_of_line: LiteralString
    places_of_recipient: LiteralString
    count_places_of_recipient: LiteralString
    count_people: LiteralString
    values_of_queued: LiteralString
    code_texts_of_ids: LiteralString
    handed_out_of_ids: LiteralString
    reminding_campaigns: LiteralString
    due_reminders: LiteralString
    redeem_windows: LiteralString
    take_due_hand_out: LiteralString
    take_due_rows: LiteralString
    take_asked_rows: LiteralString
    set_pace: LiteralString
    finish_rows: LiteralString
    ask_for_row: LiteralString
    insert_opened_code: LiteralString
    save_list_report: LiteralString
    list_report: LiteralString
