"""Moments and ids as addresses and forms write them."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from api.problems import ProblemError

VERSION_MAX: Final = 2**62


def moment_of(text: str) -> datetime | None:
    """A moment, UTC unless it says otherwise; None where nothing is written.

    Raises:
        ProblemError: MALFORMED, it can't be read.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as bad:
        raise ProblemError("MALFORMED") from bad


def uuid_of(text: str) -> UUID | None:
    """An id; None where nothing is written.

    Raises:
        ProblemError: MALFORMED, it can't be read.
    """
    try:
        return UUID(text) if text else None
    except ValueError as bad:
        raise ProblemError("MALFORMED") from bad
