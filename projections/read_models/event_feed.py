"""The event log as a feed for integrators: decoded events in order of position, after a position.

Positions become visible in order, since a writer holds the order lock until its commit is visible. So a reader that
continues after the last position it read misses nothing; gaps in the numbers are rolled-back transactions and stay.
"""

from collections.abc import Collection
from typing import Final, NamedTuple
from uuid import UUID

from domain.events.campaign import CampaignEvent
from domain.events.event import Event
from projections.database.store_queries import Database, ReadableStore
from projections.event_store.codec import decode
from projections.read_models.stream_entry import Entry
from projections.sql.read_models import ReadModelsSql

SCAN_LIMIT: Final = 10_000
"""Most rows of the log that one page of a filtered feed reads."""


class EventFilter(NamedTuple):
    """Which events a reader asks for; an event must match all that is given.

    Attributes:
        types: Bare names such as InviteSent; none for all.
        code_id: Of one code only; with `campaign_id`: those of the campaign's events that are about this code.
        campaign_id: Of one campaign only.
    """

    types: Collection[str] = ()
    code_id: UUID | None = None
    campaign_id: UUID | None = None

    @property
    def stream_id(self) -> UUID | None:
        """The only stream that has such events; None if there are several."""
        return self.code_id if self.campaign_id is None else self.campaign_id

    @property
    def is_sparse(self) -> bool:
        """Whether only some events of the streams that are read match."""
        return bool(self.types) or None not in {self.code_id, self.campaign_id}

    def matches(self, event: Event) -> bool:
        """Return whether an event of these streams is asked for."""
        if self.types and type(event).__name__ not in self.types:
            return False
        if self.stream_id is None:
            return True
        if isinstance(event, CampaignEvent) != (self.campaign_id is not None):
            return False
        return None in {self.code_id, self.campaign_id} or getattr(event, "code_id", None) == self.code_id


EVERY_EVENT: Final = EventFilter()


class FeedPage(NamedTuple):
    """A page. The next one begins after `next_position`; `is_full`: there may be more."""

    events: list[Entry[None]]
    next_position: int
    is_full: bool


class EventFeed:
    """Reads the log by position.

    Args:
        storage: Where pages are read.
        primary: The primary, if `storage` may be a standby. A standby can have a commit that the primary has not
            acknowledged and that a failover discards, so no position is given that the primary does not show.
    """

    def __init__(self, storage: ReadableStore, primary: ReadableStore | None = None) -> None:
        self._db = Database(storage)
        self._primary = None if primary is None else EventFeed(primary)

    def read_page(self, after: int, limit: int, event_filter: EventFilter = EVERY_EVENT) -> FeedPage:
        """Return events after a position.

        Args:
            after: A position; 0 for the beginning.
            limit: Most events to give.
            event_filter: Which events to return.
        """
        scanned = SCAN_LIMIT if event_filter.is_sparse else limit
        if event_filter.stream_id is not None:
            version = self._find_version_at(event_filter.stream_id, after)
            rows = self._db.fetch_all(ReadModelsSql.events_after_of_stream, event_filter.stream_id, version, scanned)
        else:
            rows = self._db.fetch_all(ReadModelsSql.events_after, after, scanned)
        page = _select_events(rows, after, limit, event_filter, is_full=len(rows) == scanned)
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
        return int(self._db.fetch_all(ReadModelsSql.newest_position)[0][0])

    def _find_version_at(self, stream_id: UUID, position: int) -> int:
        """Return the last version of a stream up to a position; versions and positions of one stream grow together."""
        low, high = 0, int(self._db.fetch_all(ReadModelsSql.newest_version_of_stream, stream_id)[0][0])
        while position and low < high:
            middle = (low + high + 1) // 2
            if self._db.fetch_all(ReadModelsSql.position_of_version, stream_id, middle)[0][0] <= position:
                low = middle
            else:
                high = middle - 1
        return low


def _select_events(
    rows: list[tuple[UUID, int, int, str, bytes]], after: int, limit: int, event_filter: EventFilter, *, is_full: bool
) -> FeedPage:
    """Return a page of the rows whose events are asked for."""
    events: list[Entry[None]] = []
    for stream_id, version, position, topic, state in rows:
        if len(events) == limit:
            return FeedPage(events, after, is_full=True)
        after, event = position, decode(topic, bytes(state))
        if event_filter.matches(event):
            events.append(Entry(stream_id, version, position, event, None, None))
    return FeedPage(events, after, is_full)
