"""Rows of the legacy system's tables; columns that a version lacks have their defaults."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from domain.legacy.records import LegacyCode, LegacyInvite
from domain.values.number_bounds import USES
from domain.values.timestamps import LATEST, TimestampError, bounded, read_timestamp


class LegacyRowError(ValueError):
    """A row can't be read; the message says which column and why."""


REQUIRED_COLUMNS = {
    "redeem_codes": ("id", "code", "max_uses", "used_count"),
    "invite_records": ("id", "email", "status", "redeem_code"),
}
"""Columns without which a table can't be read; any other may be missing in an older version."""


class QueuedRecipient(NamedTuple):
    """A row of `invite_queue`: a recipient who may still wait there. `status` is in lower case."""

    old_id: int
    code: str
    status: str
    created_at: datetime | None


def read_code_row(row: Mapping[str, Any]) -> LegacyCode:
    """Read a row of `redeem_codes`. Counters below zero stay as they are, because records can replace them.

    Raises:
        OldRowError: A value can't be what the column is for; such as a limit below zero.
    """
    limit = _read_integer(row, "max_uses") or 0
    if limit < 0:
        raise LegacyRowError(f"max_uses is {limit}, which is below zero")
    validity = _read_integer(row, "validity_days")
    return LegacyCode(
        old_id=_read_integer(row, "id") or 0,
        text=_read_text(row, "code"),
        used_count=_read_integer(row, "used_count") or 0,
        max_uses=limit or None,
        created_at=_read_timestamp(row, "created_at"),
        expires_at=_read_expiry(row),
        is_active=row.get("is_active") is None or bool(row["is_active"]),
        note=row.get("note") or None,
        group_id=_read_integer(row, "group_id"),
        validity_days=validity or None,
        bound_email=row.get("bound_email") or None,
        knows_binding="bound_email" in row,
        removed_at=_read_timestamp(row, "removed_at"),
        activated_at=_read_timestamp(row, "activated_at"),
        rebind_count=_read_integer(row, "rebind_count") or 0,
        rebind_limit=_read_integer(row, "rebind_limit"),
        status=_read_enum(row.get("status")),
    )


def read_invite_row(row: Mapping[str, Any]) -> LegacyInvite:
    """Read a row of `invite_records`.

    Raises:
        OldRowError: A value can't be what the column is for.
    """
    return LegacyInvite(
        old_id=_read_integer(row, "id") or 0,
        email=_read_text(row, "email"),
        status=_read_enum(row.get("status")),
        created_at=_read_timestamp(row, "created_at"),
        accepted_at=_read_timestamp(row, "accepted_at"),
        consumed_at=_read_timestamp(row, "consumed_at"),
        is_rebind=bool(row.get("is_rebind")),
    )


def read_queue_row(row: Mapping[str, Any]) -> QueuedRecipient:
    """Read a row of `invite_queue`.

    Raises:
        OldRowError: A value can't be what the column is for.
    """
    return QueuedRecipient(
        old_id=_read_integer(row, "id") or 0,
        code=_read_text(row, "redeem_code"),
        status=_read_enum(row.get("status")),
        created_at=_read_timestamp(row, "created_at"),
    )


def _read_text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return value if isinstance(value, str) else ""


def _read_enum(value: object) -> str:
    """Return an enum's value; some drivers and versions give it in upper case or with its type's name before a dot."""
    return "" if value is None else str(value).rpartition(".")[2].strip().lower()


def _read_integer(row: Mapping[str, Any], column: str) -> int | None:
    value = row.get(column)
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise LegacyRowError(f"{column} is {value!r}, which is not a whole number") from error
    if abs(number) > USES.most:
        raise LegacyRowError(f"{column} is {number}, which is more than {USES.most}")
    return number


def _read_timestamp(row: Mapping[str, Any], column: str) -> datetime | None:
    """Return a timestamp of the legacy system, which is naive and in UTC; SQLite stores it as text."""
    value = row.get(column)
    if value is None or value == "":
        return None
    try:
        return bounded(_to_utc(value, column))
    except TimestampError as error:
        raise LegacyRowError(f"{column} {value!s} {error}") from error


def _read_expiry(row: Mapping[str, Any]) -> datetime | None:
    """Return when a code expires; None, for never, if that is too late for this ledger."""
    value = row.get("expires_at")
    if value is None or value == "":
        return None
    return None if _to_utc(value, "expires_at") > LATEST else _read_timestamp(row, "expires_at")


def _to_utc(value: object, column: str) -> datetime:
    try:
        timestamp = value if isinstance(value, datetime) else read_timestamp(str(value))
    except TimestampError as error:
        raise LegacyRowError(f"{column} {value!r} {error}") from error
    return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
