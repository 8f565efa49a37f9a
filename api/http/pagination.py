"""Pages of lists that are ordered by a time and an id, and their cursors, which clients may guess without harm."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from uuid import UUID

from api.errors import malformed
from domain.values.timestamps import read_timestamp
from projections.read_models.pagination import OLDEST, ListCursor

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


class BoundedPage(Generic[Row]):
    """One page of a filtered list: it takes rows in order, of which a bounded number were read.

    Args:
        limit: Rows of a page.
        is_full: Whether rows may follow those that were read.
    """

    def __init__(self, limit: int, *, is_full: bool) -> None:
        self._limit = limit
        self._more = is_full
        self._last: ListCursor | None = None
        self.page: list[Row] = []

    def take(self, row: Row | None, cursor: ListCursor) -> bool:
        """Take the next row.

        Args:
            row: What to show; None if the filter excludes it.
            cursor: Its time and id.

        Returns:
            False once the page is full and this row is the next page's.
        """
        if len(self.page) == self._limit:
            self._more = True
            return False
        self._last = cursor
        if row is not None:
            self.page.append(row)
        return True

    def end(self) -> None:
        """Exclude all rows that follow."""
        self._more = False

    @property
    def next(self) -> str | None:
        """The cursor of the following page; None on the last."""
        return format_cursor(*self._last) if self._more and self._last is not None else None
