"""Pages of lists that are ordered by a time and an id: where they begin, all of them, and how many rows there are."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TypeVar
from uuid import UUID

from projections.database.store_queries import Database, ReadableStore
from projections.sql.read_models import ReadModelsSql

Row = TypeVar("Row")

ListCursor = tuple[datetime, UUID]
"""Time and id of the last row of the page before."""

# Before every row of a list whose oldest row comes first, and behind every row of one whose newest comes first.
OLDEST: Final[ListCursor] = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
NEWEST: Final[ListCursor] = (datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))
ListOrder = Literal["newest", "oldest"]
"""Which row of a list comes first."""
BEGINNINGS: Final[dict[ListOrder, ListCursor]] = {"newest": NEWEST, "oldest": OLDEST}
"""Where a list begins, by its order."""
ListName = Literal[
    "batch_list",
    "campaign_list",
    "code_list",
    "reservation_list",
    "staff_list",
    "key_list",
    "webhook_list",
    "audit_list",
]
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


def count_rows(storage: ReadableStore, name: ListName, most: int) -> int:
    """Return how many rows a list has; `most` if there are as many or more."""
    rows: list[tuple[int]] = Database(storage).fetch_named(ReadModelsSql.rows_of_list, list=name, most=most)
    return rows[0][0]
