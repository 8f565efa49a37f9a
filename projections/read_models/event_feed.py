"""The event log as a feed for integrators: decoded events in order of position, after a position.

Positions become visible in order, since a writer holds the order lock until its commit is visible. So a reader that
continues after the last position it read misses nothing; gaps in the numbers are rolled-back transactions and stay.
"""

from collections.abc import Collection
from typing import Final, NamedTuple
from uuid import UUID

from domain.events import Event
from projections.event_store.codec import decode
from projections.read_models.reader import ReadableStore, Reader
from projections.sql.read_models import ReadModelsSql

SCAN_LIMIT: Final = 10_000
"""Most rows of the log that one page of a filtered feed reads."""


class FeedEvent(NamedTuple):
    """One event and its position."""

    position: int
    code_id: UUID
    version: int
    event: Event


class FeedPage(NamedTuple):
    """A page. The next one begins after `next_position`; `is_full`: there may be more."""

    events: list[FeedEvent]
    next_position: int
    is_full: bool


class EventFeed(Reader):
    """Reads the log by position.

    Args:
        storage: Where pages are read.
        primary: The primary, if `storage` may be a standby. A standby can have a commit that the primary has not
            acknowledged and that a failover discards, so no position is given that the primary does not show.
    """

    def __init__(self, storage: ReadableStore, primary: ReadableStore | None = None) -> None:
        super().__init__(storage)
        self._primary = None if primary is None else EventFeed(primary)

    def read_page(self, after: int, limit: int, types: Collection[str] = (), code_id: UUID | None = None) -> FeedPage:
        """Return events after a position.

        Args:
            after: A position; 0 for the beginning.
            limit: Most events to give.
            types: Bare names such as InviteSent; none for all.
            code_id: Of one code only.
        """
        if code_id is not None:
            page = self._read_page_of_code(after, limit, types, code_id)
        else:
            rows = self._fetch_all(ReadModelsSql.events_after, after, SCAN_LIMIT if types else limit)
            page = _select_events(rows, after, limit, types, is_full=len(rows) == (SCAN_LIMIT if types else limit))
        if self._primary is None or page.next_position == after:
            return page
        newest = max(after, self._primary.find_newest_position())
        if page.next_position <= newest:
            return page
        return FeedPage([event for event in page.events if event.position <= newest], newest, is_full=False)

    def find_newest_position(self) -> int:
        """Return the position of the newest event; 0 for an empty log."""
        if self._primary is not None:
            return self._primary.find_newest_position()
        return int(self._fetch_all(ReadModelsSql.newest_position)[0][0])

    def _read_page_of_code(self, after: int, limit: int, types: Collection[str], code_id: UUID) -> FeedPage:
        version = self._find_version_at(code_id, after)
        rows = self._fetch_all(ReadModelsSql.events_after_of_stream, code_id, version, SCAN_LIMIT if types else limit)
        return _select_events(rows, after, limit, types, is_full=len(rows) == (SCAN_LIMIT if types else limit))

    def _find_version_at(self, code_id: UUID, position: int) -> int:
        """Return the last version of a stream up to a position; versions and positions of one stream grow together."""
        versions = self._fetch_all(ReadModelsSql.version_of_code, code_id)
        low, high = 0, int(versions[0][0]) if versions else 0
        while position and low < high:
            middle = (low + high + 1) // 2
            if self._fetch_all(ReadModelsSql.position_of_version, code_id, middle)[0][0] <= position:
                low = middle
            else:
                high = middle - 1
        return low


def _select_events(
    rows: list[tuple[UUID, int, int, str, bytes]], after: int, limit: int, types: Collection[str], *, is_full: bool
) -> FeedPage:
    """Return a page of the rows whose events are asked for."""
    events: list[FeedEvent] = []
    for code_id, version, position, topic, state in rows:
        if len(events) == limit:
            return FeedPage(events, after, is_full=True)
        after, event = position, decode(topic, bytes(state))
        if not types or type(event).__name__ in types:
            events.append(FeedEvent(position, code_id, version, event))
    return FeedPage(events, after, is_full)
