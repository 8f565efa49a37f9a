"""Check the bounds of what commands carry, where they are decided, so that no input path can omit the check."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain.commands.context import EventStamp
from domain.errors import ContradictoryTerms, OutOfBounds
from domain.events.code_terms import CodeTerms, find_contradictions, find_invalid_term
from domain.model.reservation import Reservation
from domain.values.timestamps import AHEAD_MAX, is_within_bounds


def check_terms(terms: Mapping[str, object]) -> None:
    """Check terms of a code, all of them or those that change.

    Args:
        terms: Values by the name of the term; None bounds nothing.

    Raises:
        OutOfBounds: One of them lies outside its bounds.
    """
    if (name := find_invalid_term(terms)) is not None:
        raise OutOfBounds(name)


def check_agreement(terms: CodeTerms) -> None:
    """Check that the terms of a code agree with one another.

    Raises:
        ContradictoryTerms: It would start after its end, or an allowed domain is denied.
    """
    for why in find_contradictions(terms):
        raise ContradictoryTerms(why)


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
    """Return the fields of an event that another system reports about a reservation, with the reported time.

    Args:
        stamp: When the report takes effect.
        reservation: The reservation.
        occurred_at: Aware; None where the report names no time.

    Raises:
        OutOfBounds: It is earlier than the reservation, or further ahead than clocks differ.
    """
    if occurred_at is None:
        return stamp.fields
    if not min(reservation.reserved_at, stamp.now) <= occurred_at <= stamp.now + AHEAD_MAX:
        raise OutOfBounds("occurred_at")
    return {**stamp.fields, "occurred_at": occurred_at}
