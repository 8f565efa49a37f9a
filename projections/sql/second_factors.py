"""Statements about second factors of staff."""

from typing import LiteralString

from projections.sql import Statements


class SecondFactorsSql(Statements, file="second_factors.sql"):
    """Each attribute is the text of the statement of that name."""

    factors_of_staff: LiteralString
    factor_of_credential: LiteralString
    has_factor: LiteralString
    add_factor: LiteralString
    advance_factor: LiteralString
    rename_factor: LiteralString
    remove_factors: LiteralString
    clear_recovery_codes: LiteralString
    add_recovery_codes: LiteralString
    use_recovery_code: LiteralString
    has_recovery_code: LiteralString
    unused_recovery_codes: LiteralString
    spend_state: LiteralString
