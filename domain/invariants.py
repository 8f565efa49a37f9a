"""The sums that must hold after every event, used by decisions, tests and `ledger verify` alike."""

from domain.redeem_code import RedeemCode


def check_balance(code: RedeemCode) -> RedeemCode:
    """Assert DESIGN's first invariant and that no counter is negative; gives the same code back.

    Raises:
        AssertionError: The books would not balance; the caller must not commit.
    """
    broken = (
        code.used < 0
        or code.reserved < 0
        or not 0 <= code.sent_binding <= code.used
        or (code.max_uses is not None and code.used + code.reserved > code.max_uses)
    )
    if broken:
        message = (
            f"code {code.code_id} at version {code.version}: used {code.used}, reserved {code.reserved}, "
            f"limit {code.max_uses}"
        )
        raise AssertionError(message)
    return code
