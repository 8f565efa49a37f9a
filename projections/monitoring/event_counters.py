"""Counts of events for metrics, updated incrementally, so that no scrape reads the whole log.

They are derived data: with `tally_progress` at 0 and no rows in `tallies` they are counted again.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from psycopg import Connection
from psycopg.rows import tuple_row

from domain.events.event import STAFF
from projections.database.binary_arrays import TIMESTAMPS, UUIDS
from projections.event_store.stored_state import state_decoder
from projections.sql.monitoring import MonitoringSql

EVENTS_PER_TRANSACTION: Final = 20_000
"""Events per transaction: some 0.1 s."""
ROUNDS_MAX: Final = 20
CLICK_TO_SENT_S: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Bounds of the histogram of the time from a redeem to its email; the guarantee is "within seconds"."""
_BUCKET_NAMES: Final = (*map("{:g}".format, CLICK_TO_SENT_S), "+Inf")


class CountedFields(Struct, frozen=True, gc=False):
    """The fields of events that counters use, for every type and version of event."""

    at: datetime
    actor: str
    reservation_id: UUID | None = None
    delivery: int = 1
    cause: str | None = None
    effect: str = "removed"
    notify: bool = True
    retry_at: datetime | None = None


_read_counted_fields: Final = state_decoder(CountedFields)


def update_counters(conn: Connection[Any]) -> int:
    """Count the new events, up to a bound, and return how many. Return 0 if another process is counting."""
    total = 0
    for _ in range(ROUNDS_MAX):
        with conn.transaction():
            count = _update_once(conn)
        total += count
        if count < EVENTS_PER_TRANSACTION:
            break
    return total


def _update_once(conn: Connection[Any]) -> int:
    row = conn.execute(MonitoringSql.lock_counter_progress).fetchone()
    if row is None:
        return 0
    (after,) = _values(row)
    row_of_end = conn.execute(MonitoringSql.next_counter_position, (after, EVENTS_PER_TRANSACTION)).fetchone()
    if row_of_end is None:
        raise AssertionError
    last_position, count = _values(row_of_end)
    if count:
        counts = _count_events(conn, after, last_position)
        names, labels = zip(*counts, strict=True)
        conn.execute(MonitoringSql.increment_counters, (list(names), list(labels), list(counts.values())))
        conn.execute(MonitoringSql.set_counter_position, (last_position,))
    return int(count)


def _count_events(conn: Connection[Any], after: int, until: int) -> Counter[tuple[str, str]]:
    """Count the events of a range of positions by counter and label."""
    with conn.cursor(row_factory=tuple_row, binary=True) as cursor:
        types = cursor.execute(MonitoringSql.count_event_types, (after, until)).fetchall()
        counts = Counter({("events", kind): count for kind, count in types})
        clicked: list[tuple[UUID, datetime]] = []
        for topic, state in cursor.execute(MonitoringSql.events_with_counted_fields, (after, until)):
            kind, fields = topic.partition(":")[0], _read_counted_fields(state)
            if kind == "UseRefunded":
                counts["refunds", fields.cause or ""] += 1
            elif kind != "InviteSent":
                counts.update(("cleanup", label) for label in _labels_of_ending(kind, fields))
            elif fields.delivery == 1 and fields.reservation_id is not None:
                clicked.append((fields.reservation_id, fields.at))
        if clicked:
            ids, times = zip(*clicked, strict=True)
            waits = cursor.execute(MonitoringSql.seconds_from_click, (UUIDS.encode(ids), TIMESTAMPS.encode(times)))
            counts.update(_count_waits([seconds for (seconds,) in waits]))
    return counts


def _labels_of_ending(kind: str, fields: CountedFields) -> Iterator[str]:
    """Yield the label of an event about an access that ended; none if nothing follows from it."""
    if kind == "AccessExpired" and fields.notify:
        yield "removing/expired"
    elif kind == "AccessReplaced":
        yield "removing/moved"
    elif kind == "AccessCorrected":
        yield "removing/corrected"
    elif kind == "AccessRevoked" and fields.actor in STAFF:
        yield "removing/withdrawn"
    elif kind == "AccessRemoved":
        yield f"{fields.effect}/{fields.cause}"
    elif kind == "AccessRemovalFailed" and fields.retry_at is None:
        yield f"removal_failed/{fields.cause}"


def _count_waits(waits: Iterable[float]) -> Counter[tuple[str, str]]:
    """Count times from a redeem to its email in the buckets of the histogram, and add up their milliseconds."""
    counts: Counter[tuple[str, str]] = Counter()
    for seconds in waits:
        bucket = bisect_left(CLICK_TO_SENT_S, seconds)
        counts["click_to_sent", _BUCKET_NAMES[bucket]] += 1
        counts["click_to_sent_ms", ""] += round(seconds * 1000)
    return counts


def _values(row: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a row as a dict or a tuple, by whose connection it is
    return tuple(row.values()) if isinstance(row, dict) else tuple(row)
