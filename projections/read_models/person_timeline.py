"""The events of one recipient over all codes, in the order of the log, of a bounded number of reservations."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from projections.database.store_queries import Database, ReadableStore
from projections.event_store.codec import decode
from projections.event_store.stored_state import search_field
from projections.read_models.stream_entry import Entry
from projections.sql.read_models import ReadModelsSql

RESERVATIONS_MAX: Final = 2_000
"""Most reservations of one recipient whose events a page reads: the newest."""


class TimelineFilter(NamedTuple):
    """Which events of a recipient to read; None excludes none.

    Attributes:
        since: They took effect at this time or later.
        until: They took effect at this time or before.
    """

    recipient_id: UUID
    actor: str | None = None
    channel: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_events(
    storage: ReadableStore,
    requested: TimelineFilter,
    topics: Sequence[str] | None,
    *,
    after: int | None,
    newest_first: bool,
    limit: int,
) -> list[tuple[Entry[None], str | None]]:
    """Return one page of events, in its order, each with the end of its code's text; None if it has no text.

    Args:
        storage: Where to read.
        requested: Which events to read.
        topics: Their topics; None for all.
        after: Position of the last event of the page before; None on the first page.
        newest_first: The order.
        limit: Most events to give.
    """
    statement = (
        ReadModelsSql.events_of_person_newest_first if newest_first else ReadModelsSql.events_of_person_oldest_first
    )
    parameters = _parameters(requested, topics)
    rows = Database(storage).fetch_named(statement, **parameters, place=after, limit=limit)
    return [
        (Entry(code_id, version, position, decode(topic, bytes(state)), None, None), suffix)
        for position, code_id, version, topic, state, suffix in rows
    ]


def count_topics(storage: ReadableStore, requested: TimelineFilter) -> Counter[str]:
    """Count events by topic."""
    rows = Database(storage).fetch_named(ReadModelsSql.count_events_of_person, **_parameters(requested, None))
    return Counter(dict(rows))


def _parameters(requested: TimelineFilter, topics: Sequence[str] | None) -> dict[str, Any]:
    return {
        "recipient_id": requested.recipient_id,
        "reservations_max": RESERVATIONS_MAX,
        "topics": None if topics is None else list(topics),
        "actor": None if requested.actor is None else list(search_field("actor", requested.actor)),
        "channel": None if requested.channel is None else list(search_field("channel", requested.channel)),
        "since": requested.since,
        "until": requested.until,
    }
