"""Pages of lists that are ordered by a time and an id, and their cursors, which clients may guess without harm."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from api.errors import malformed
from domain.values.timestamps import read_timestamp
from projections.database.store_queries import ReadableStore
from projections.read_models.pagination import OLDEST, ListCursor, ListName, count_rows

LAG_HEADER: Final = "Ledger-Read-Lag"
"""Seconds by which a response from a standby may be behind."""
COUNTED_MAX: Final = 1_000
"""Most rows of a list that are counted."""
CHUNK: Final = 2_000
"""Rows that one query of a filtered list reads."""
CHUNKS_MAX: Final = 25
SCANNED_MAX: Final = CHUNK * CHUNKS_MAX
"""About the most rows that one page of a filtered list reads."""
Raw = TypeVar("Raw")
Row = TypeVar("Row")
Cursor = TypeVar("Cursor")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row, Cursor]):
    """Rows of one page, and where the following page begins; None on the last page."""

    rows: list[Row]
    next: Cursor | None

    @classmethod
    def of(cls, rows: Sequence[Row], limit: int, cursor: Callable[[Row], Cursor]) -> "Page[Row, Cursor]":
        """Cut a list that was read with one more row than a page holds.

        Args:
            rows: At most `limit + 1`.
            limit: Rows of a page.
            cursor: Names where the page after a row begins.
        """
        page = list(rows[:limit])
        return cls(page, cursor(page[-1]) if len(rows) > limit else None)


def count_list(
    storage: ReadableStore, name: ListName, page: Page[Any, Any], *, is_first: bool, is_filtered: bool = False
) -> str | None:
    """Return how many rows a list has, as pages show it: `1,000+` if there are more than are counted.

    A list whose first page is its last one is not counted again. None for a filtered list with further pages, whose
    rows would have to be read to the end.
    """
    is_whole = is_first and page.next is None
    if is_filtered and not is_whole:
        return None
    count = len(page.rows) if is_whole else count_rows(storage, name, COUNTED_MAX + 1)
    return f"{COUNTED_MAX:,}+" if count > COUNTED_MAX else f"{count:,}"


def format_cursor(timestamp: datetime, row_id: UUID) -> str:
    """Return the cursor of the page that follows a row."""
    raw = f"{timestamp.isoformat()}|{row_id}"
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def parse_cursor(cursor: str | None, start: ListCursor = OLDEST) -> ListCursor:
    """Read a cursor; without one the list begins at `start`.

    A cursor may name a time outside the bounds of other inputs, since rows that were stored before may have one.

    Raises:
        ApplicationError: MALFORMED, it is not one of our cursors.
    """
    if cursor is None:
        return start
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        text, _, row_id = raw.partition("|")
        return read_timestamp(text).astimezone(UTC), UUID(row_id)
    except (ValueError, OverflowError) as error:
        raise malformed("query.cursor", "is not a cursor: send `next` of the previous page") from error


def fill_page(
    read: Callable[[Cursor, int], Sequence[Raw]],
    pick: Callable[[Raw], Row | None],
    place: Callable[[Raw], Cursor],
    start: Cursor,
    limit: int,
) -> Page[Row, Cursor]:
    """Read a list until a page is full of rows that a filter does not exclude.

    A page is shorter only if it is the last one, or if `SCANNED_MAX` rows held too few that match.

    Args:
        read: Returns at most so many rows behind a place; if they are fewer, no other follows.
        pick: Returns what to show of a row; None if the filter excludes it.
        place: Names the place of a row.
        start: The page begins behind this place.
        limit: Rows of a page.
    """
    page: list[Row] = []
    number = limit + 1
    for _ in range(CHUNKS_MAX):
        chunk = read(start, number)
        for raw in chunk:
            if (row := pick(raw)) is not None:
                if len(page) == limit:
                    return Page(page, start)
                page.append(row)
            start = place(raw)
        if len(chunk) < number:
            return Page(page, None)
        number = CHUNK
    return Page(page, start)
