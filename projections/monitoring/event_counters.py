"""Counts of events for metrics, updated incrementally, so that no scrape reads the whole log.

They are derived data: with `tally_progress` at 0 and no rows in `tallies` they are counted again.
"""

from typing import Any, Final

from psycopg import Connection

from projections.sql.monitoring import MonitoringSql

EVENTS_PER_TRANSACTION: Final = 20_000
"""Events per transaction: some 0.1 s."""
ROUNDS_MAX: Final = 20
CLICK_TO_SENT_S: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Bounds of the histogram of the time from a redeem to its email; the guarantee is "within seconds"."""


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
        conn.execute(
            MonitoringSql.increment_counters, {"after": after, "upto": last_position, "bounds": list(CLICK_TO_SENT_S)}
        )
        conn.execute(MonitoringSql.set_counter_position, (last_position,))
    return int(count)


def _values(row: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a row as a dict or a tuple, by whose connection it is
    return tuple(row.values()) if isinstance(row, dict) else tuple(row)
