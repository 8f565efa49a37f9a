"""Cursors of lists that are ordered by a time and an id: opaque to clients, safe to make up."""

import base64
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from api.problems import ProblemError

Place = tuple[datetime, UUID]
"""Where a page begins: after this time and id."""

FIRST: Final[Place] = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))


def cursor_of(moment: datetime, row_id: UUID) -> str:
    """The cursor of the page that follows this row."""
    raw = f"{moment.isoformat()}|{row_id}"
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def place_of(cursor: str | None) -> Place:
    """Where a cursor points; the first page without one.

    Raises:
        ProblemError: MALFORMED, it is none of ours.
    """
    if cursor is None:
        return FIRST
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        text, _, row_id = raw.partition("|")
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC), UUID(row_id)
    except ValueError as bad:
        raise ProblemError("MALFORMED") from bad
