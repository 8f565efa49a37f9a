"""Statements that compare tables with the log."""

from typing import LiteralString

from projections.sql import Statements


class VerificationSql(Statements, file="verification.sql"):
    """Each attribute is the text of the statement of that name."""

    cases_of_code: LiteralString
    random_codes: LiteralString
    reservations_of_code: LiteralString
    drifting_codes: LiteralString
    upsert_drifting: LiteralString
    forget_drifting: LiteralString
    forget_all_drifting: LiteralString
    count_drifting: LiteralString
    upsert_verification: LiteralString
    last_verifications: LiteralString
    overdue_reservations: LiteralString
    snapshots_page: LiteralString
    page_of_recipients: LiteralString
    page_of_code_texts: LiteralString
    page_of_staff: LiteralString
    page_of_private_texts: LiteralString
