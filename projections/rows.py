"""From folded states to rows of the read models: one place, used by the live path and by rebuild alike."""

from collections.abc import Iterable
from typing import Any

from domain.redeem_code import RedeemCode
from domain.reservation import Reservation

Columns = tuple[list[Any], ...]


def balance_row(code: RedeemCode) -> tuple[Any, ...]:
    """`code_balances`, in the order of its columns."""
    return (
        code.code_id,
        code.version,
        code.issued_at,
        code.last_at,
        code.max_uses,
        code.used,
        code.reserved,
        code.bound,
        code.owner_id,
        code.sent_binding,
        code.expires_at,
        code.validity_days,
        code.group,
    )


def reservation_row(item: Reservation) -> tuple[Any, ...]:
    """`reservations`, in the order of its columns; versions as an array literal."""
    return (
        item.reservation_id,
        item.code_id,
        item.recipient_id,
        "{" + ",".join(map(str, item.versions)) + "}",
        item.status,
        item.kind,
        item.reserved_at,
        item.deadline,
        item.due_at,
        None if item.lease is None else item.lease.until,
        item.delivery,
        item.attempts,
        item.ever_unknown,
        item.case_id,
        item.follows,
        item.sent_at,
        item.accepted_at,
        item.refunded_at,
        item.refund_cause,
    )


def columns(rows: Iterable[tuple[Any, ...]]) -> Columns:
    """Rows turned into one list per column, as unnest takes them. At least one row."""
    return tuple(list(column) for column in zip(*rows, strict=True))
