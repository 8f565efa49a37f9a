"""Statements that compare tables with the log."""

from typing import Final, LiteralString

from projections.sql import Statements
from projections.sql.event_store import CODE_TEXTS, RECIPIENTS
from projections.sql.table import Table

DRIFTED_CODES: Final = Table(
    "drifting_codes",
    key=("code_id",),
    columns={"code_id": "uuid", "found_at": "timestamptz", "rows": "bigint"},
    fixed=("found_at",),
)


class VerificationSql(Statements, file="verification.sql", tables=(DRIFTED_CODES, RECIPIENTS, CODE_TEXTS)):
    """Each attribute is the text of the statement of that name."""

    random_codes: LiteralString
    random_campaigns: LiteralString
    drifted_codes: LiteralString
    upsert_drifted_codes: LiteralString
    delete_drifted_codes: LiteralString
    delete_all_drifted_codes: LiteralString
    count_drifted_rows: LiteralString
    upsert_verification: LiteralString
    last_verifications: LiteralString
    overdue_reservations: LiteralString
    wrong_campaigns: LiteralString
    shared_mailboxes: LiteralString
    terms_of_campaign: LiteralString
    snapshots_page: LiteralString
    codes_with_blocks: LiteralString
    row_of_recipients: LiteralString
    row_of_code_texts: LiteralString
    row_of_staff: LiteralString
    row_of_staff_identities: LiteralString
    row_of_staff_factors: LiteralString
    row_of_private_texts: LiteralString
    row_of_hand_out_recipients: LiteralString
    page_of_hand_out_recipients: LiteralString
    row_of_approvals: LiteralString
    page_of_approvals: LiteralString
    page_of_recipients: LiteralString
    page_of_code_texts: LiteralString
    page_of_staff: LiteralString
    page_of_staff_identities: LiteralString
    page_of_staff_factors: LiteralString
    page_of_private_texts: LiteralString
