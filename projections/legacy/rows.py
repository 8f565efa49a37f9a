"""Rows of the old system as its tables have them, with the columns that a version lacks left at their defaults."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from domain.legacy.records import LegacyCode, LegacyInvite
from domain.values.number_bounds import USES
from domain.values.timestamps import LATEST, TimestampError, bounded, read_timestamp


class OldRowError(ValueError):
    """A row can't be read; the message says which column and why."""


NEEDED = {
    "redeem_codes": ("id", "code", "max_uses", "used_count"),
    "invite_records": ("id", "email", "status", "redeem_code"),
}
"""Columns without which a table can't be read; every other one may be missing in an older version."""


class QueuedPerson(NamedTuple):
    """A row of `invite_queue`: a person who may still wait there. `status` is in lower case."""

    old_id: int
    code: str
    status: str
    created_at: datetime | None


def old_code(row: Mapping[str, Any]) -> LegacyCode:
    """Read a row of `redeem_codes`. Counters below zero are left as they are, for records can replace them.

    Raises:
        OldRowError: A value can't be what the column is for; such as a limit below zero.
    """
    limit = _whole(row, "max_uses") or 0
    if limit < 0:
        raise OldRowError(f"max_uses is {limit}, which is below zero")
    validity = _whole(row, "validity_days")
    return LegacyCode(
        old_id=_whole(row, "id") or 0,
        text=_text(row, "code"),
        used_count=_whole(row, "used_count") or 0,
        max_uses=limit or None,
        created_at=_moment(row, "created_at"),
        expires_at=_expiry(row),
        is_active=row.get("is_active") is None or bool(row["is_active"]),
        note=row.get("note") or None,
        group_id=_whole(row, "group_id"),
        validity_days=validity or None,
        bound_email=row.get("bound_email") or None,
        knows_binding="bound_email" in row,
        removed_at=_moment(row, "removed_at"),
        activated_at=_moment(row, "activated_at"),
        rebind_count=_whole(row, "rebind_count") or 0,
        rebind_limit=_whole(row, "rebind_limit"),
        status=_lower(row.get("status")),
    )


def old_record(row: Mapping[str, Any]) -> LegacyInvite:
    """Read a row of `invite_records`.

    Raises:
        OldRowError: A value can't be what the column is for.
    """
    return LegacyInvite(
        old_id=_whole(row, "id") or 0,
        email=_text(row, "email"),
        status=_lower(row.get("status")),
        created_at=_moment(row, "created_at"),
        accepted_at=_moment(row, "accepted_at"),
        consumed_at=_moment(row, "consumed_at"),
        is_rebind=bool(row.get("is_rebind")),
    )


def queued_person(row: Mapping[str, Any]) -> QueuedPerson:
    """Read a row of `invite_queue`.

    Raises:
        OldRowError: A value can't be what the column is for.
    """
    return QueuedPerson(
        old_id=_whole(row, "id") or 0,
        code=_text(row, "redeem_code"),
        status=_lower(row.get("status")),
        created_at=_moment(row, "created_at"),
    )


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return value if isinstance(value, str) else ""


def _lower(value: object) -> str:
    """An enum's value; some drivers and versions give it in upper case or with its type's name before a dot."""
    return "" if value is None else str(value).rpartition(".")[2].strip().lower()


def _whole(row: Mapping[str, Any], column: str) -> int | None:
    value = row.get(column)
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError) as wrong:
        raise OldRowError(f"{column} is {value!r}, which is no whole number") from wrong
    if abs(number) > USES.most:
        raise OldRowError(f"{column} is {number}, which is beyond {USES.most}")
    return number


def _moment(row: Mapping[str, Any], column: str) -> datetime | None:
    """A time of the old system: naive and meant as UTC; SQLite keeps it as text."""
    value = row.get(column)
    if value is None or value == "":
        return None
    try:
        return bounded(_utc(value, column))
    except TimestampError as outside:
        raise OldRowError(f"{column} {value!s} {outside}") from outside


def _expiry(row: Mapping[str, Any]) -> datetime | None:
    """When a code expires; a time that is too late for this ledger stands for never."""
    value = row.get("expires_at")
    if value is None or value == "":
        return None
    return None if _utc(value, "expires_at") > LATEST else _moment(row, "expires_at")


def _utc(value: object, column: str) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else read_timestamp(str(value))
    except TimestampError as wrong:
        raise OldRowError(f"{column} {value!r} {wrong}") from wrong
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
