"""Statements that compare tables with the log."""

from typing import LiteralString

from projections.sql import Statements


class VerificationSql(Statements, file="verification.sql"):
    """Each attribute is the text of the statement of that name."""

    random_codes: LiteralString
    drifted_codes: LiteralString
    upsert_drifted_codes: LiteralString
    delete_drifted_codes: LiteralString
    delete_all_drifted_codes: LiteralString
    count_drifted_rows: LiteralString
    upsert_verification: LiteralString
    last_verifications: LiteralString
    overdue_reservations: LiteralString
    snapshots_page: LiteralString
    page_of_recipients: LiteralString
    page_of_code_texts: LiteralString
    page_of_staff: LiteralString
    page_of_private_texts: LiteralString
