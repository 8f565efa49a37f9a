"""Pages of lists that are ordered by a time and an id: where they begin."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

ListCursor = tuple[datetime, UUID]
"""Time and id of the last row of the page before."""

# Before every row of a list whose oldest row comes first, and behind every row of one whose newest comes first.
OLDEST: Final[ListCursor] = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
NEWEST: Final[ListCursor] = (datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))
