"""Pages of lists that are ordered by a time and an id, and their cursors: opaque to clients, safe to make up."""

import base64
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar
from uuid import UUID

from api.errors import malformed
from domain.values.timestamps import read_timestamp
from projections.read_models.pagination import BEGINNING

T = TypeVar("T")
Place = tuple[datetime, UUID]
"""Where a page begins: after this time and id."""

FIRST: Final[Place] = BEGINNING


def cursor_of(moment: datetime, row_id: UUID) -> str:
    """The cursor of the page that follows this row."""
    raw = f"{moment.isoformat()}|{row_id}"
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def place_of(cursor: str | None) -> Place:
    """Where a cursor points; the first page without one.

    A cursor may name a time outside the bounds of other inputs, since rows that were stored before may have one.

    Raises:
        ApplicationError: MALFORMED, it is none of ours.
    """
    if cursor is None:
        return FIRST
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        text, _, row_id = raw.partition("|")
        return read_timestamp(text).astimezone(UTC), UUID(row_id)
    except (ValueError, OverflowError) as bad:
        raise malformed("query.cursor", "none of ours: take `next` of the page before") from bad


class Stretch(Generic[T]):
    """Picks one page out of rows in order, which are looked through to their end at most.

    Args:
        limit: Items of a page.
        is_full: Whether rows may follow those that are looked through.
    """

    def __init__(self, limit: int, *, is_full: bool) -> None:
        self._limit = limit
        self._more = is_full
        self._last: Place | None = None
        self.page: list[T] = []

    def take(self, item: T | None, place: Place) -> bool:
        """Look at the next row.

        Args:
            item: What it is shown as; None if it is not asked for.
            place: Where it stands.

        Returns:
            False once the page is full and this row is the next page's.
        """
        if len(self.page) == self._limit:
            self._more = True
            return False
        self._last = place
        if item is not None:
            self.page.append(item)
        return True

    def end(self) -> None:
        """Nothing that follows is asked for."""
        self._more = False

    @property
    def next(self) -> str | None:
        """The cursor of the following page; None on the last."""
        return cursor_of(*self._last) if self._more and self._last is not None else None


LATEST: Final = (datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))
"""Above every reservation's time and id."""
