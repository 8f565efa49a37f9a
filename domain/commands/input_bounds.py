"""The bounds of what commands carry, checked where they are decided: no input can leave them out."""

from datetime import datetime
from typing import Any, Final

from msgspec import UNSET, UnsetType

from domain.commands.context import EventStamp
from domain.errors import OutOfBounds
from domain.model.reservation import Reservation
from domain.values.number_bounds import DAYS, REBINDS, USES, Bounds
from domain.values.timestamps import AHEAD_MAX, is_within_bounds

_OF_TERMS: Final[dict[str, Bounds]] = {"max_uses": USES, "validity_days": DAYS, "rebinds_max": REBINDS}


def check_terms(*, expires_at: datetime | UnsetType | None, **numbers: int | UnsetType | None) -> None:
    """Check the terms of a code; None does not bound anything, UNSET is not looked at.

    Args:
        expires_at: Aware.
        numbers: By the name of the term.

    Raises:
        OutOfBounds: One of them lies outside its bounds.
    """
    for name, number in numbers.items():
        if isinstance(number, int) and not _OF_TERMS[name].holds(number):
            raise OutOfBounds(name)
    if expires_at is not UNSET:
        check_timestamp("expires_at", expires_at)


def check_timestamp(name: str, timestamp: datetime | None) -> None:
    """Check one timestamp of a command.

    Args:
        name: Of its field.
        timestamp: Aware; None where the command names none.

    Raises:
        OutOfBounds: It lies outside the bounds of every input.
    """
    if timestamp is not None and not is_within_bounds(timestamp):
        raise OutOfBounds(name)


def reported_fields(stamp: EventStamp, reservation: Reservation, occurred_at: datetime | None) -> dict[str, Any]:
    """The fields of an event that others report about a reservation, with the time that they name for it.

    Args:
        stamp: When the report takes effect.
        reservation: The reservation.
        occurred_at: Aware; None where the report names no time.

    Raises:
        OutOfBounds: It is earlier than the reservation, or further ahead than clocks differ.
    """
    if occurred_at is None:
        return stamp.fields
    if not reservation.reserved_at <= occurred_at <= stamp.at + AHEAD_MAX:
        raise OutOfBounds("occurred_at")
    return {**stamp.fields, "occurred_at": occurred_at}
