"""The log as a feed for others: events in order of position, from a place on, decoded.

Positions appear in order, since whoever appends holds the order lock until the commit shows. So a reader that goes on
from the last position it saw misses nothing, whatever is being written meanwhile; holes in the numbers are rolled back
work and will never be filled.
"""

from collections.abc import Collection
from typing import Final, NamedTuple
from uuid import UUID

from domain.events import Event
from projections.event_store.codec import decode
from projections.read_models.reader import Reader
from projections.sql.read_models import ReadModelsSql

STRETCH: Final = 10_000
"""Rows of the log that are looked through for one page of a filtered feed."""


class FeedEvent(NamedTuple):
    """One event and its place."""

    position: int
    code_id: UUID
    version: int
    event: Event


class FeedPage(NamedTuple):
    """A page. `next`: the position to go on from, also past what the filter left out. `is_full`: there may be more."""

    events: list[FeedEvent]
    next: int
    is_full: bool


class Feed(Reader):
    """Reads the log by position."""

    def page(self, after: int, limit: int, types: Collection[str] = (), code_id: UUID | None = None) -> FeedPage:
        """Events behind a position.

        Args:
            after: A position; 0 for the beginning.
            limit: Most events to give.
            types: Bare names such as InviteSent; none for all.
            code_id: Of one code only.
        """
        if code_id is not None:
            return self._page_of_code(after, limit, types, code_id)
        rows = self._all(ReadModelsSql.events_after, after, STRETCH if types else limit)
        return _picked(rows, after, limit, types, is_full=len(rows) == (STRETCH if types else limit))

    def newest(self) -> int:
        """The position of the newest event; 0 of an empty log."""
        return int(self._all(ReadModelsSql.newest_position)[0][0])

    def _page_of_code(self, after: int, limit: int, types: Collection[str], code_id: UUID) -> FeedPage:
        version = self._version_at(code_id, after)
        rows = self._all(ReadModelsSql.events_after_of_stream, code_id, version, STRETCH if types else limit)
        return _picked(rows, after, limit, types, is_full=len(rows) == (STRETCH if types else limit))

    def _version_at(self, code_id: UUID, position: int) -> int:
        """The last version of a stream up to a position; versions and positions of one stream grow together."""
        found = self._all(ReadModelsSql.version_of_code, code_id)
        low, high = 0, int(found[0][0]) if found else 0
        while position and low < high:
            middle = (low + high + 1) // 2
            if self._all(ReadModelsSql.position_of_version, code_id, middle)[0][0] <= position:
                low = middle
            else:
                high = middle - 1
        return low


def _picked(
    rows: list[tuple[UUID, int, int, str, bytes]], after: int, limit: int, types: Collection[str], *, is_full: bool
) -> FeedPage:
    """What is asked for of rows in order of position."""
    found: list[FeedEvent] = []
    for code_id, version, position, topic, state in rows:
        if len(found) == limit:
            return FeedPage(found, after, is_full=True)
        after, event = position, decode(topic, bytes(state))
        if not types or type(event).__name__ in types:
            found.append(FeedEvent(position, code_id, version, event))
    return FeedPage(found, after, is_full)
