"""Pages of lists that are ordered by a time and an id: where they begin, and all of them one after another."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

Row = TypeVar("Row")

ListCursor = tuple[datetime, UUID]
"""Time and id of the last row of the page before."""

# Before every row of a list whose oldest row comes first, and behind every row of one whose newest comes first.
OLDEST: Final[ListCursor] = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
NEWEST: Final[ListCursor] = (datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))
ROWS_PER_READ: Final = 1_000
"""Rows that one statement reads of a list that is read to its end."""


def read_to_end(
    read_page: Callable[[ListCursor, int], Sequence[Row]], place: ListCursor, cursor_of: Callable[[Row], ListCursor]
) -> Iterator[Row]:
    """Return every row of a list, however many pages it has.

    Args:
        read_page: Reads a number of rows behind a cursor.
        place: `OLDEST` or `NEWEST`: where the list begins.
        cursor_of: Returns the time and the id of a row.
    """
    while rows := read_page(place, ROWS_PER_READ):
        yield from rows
        place = cursor_of(rows[-1])
