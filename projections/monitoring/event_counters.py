"""Sums over the log for metrics: taken further stretch by stretch, so that no scrape reads the whole log.

They are derived: with `tally_progress` at 0 and no tallies, they come again. A sum by another key of the same events
must give the same, which the tests check.
"""

from typing import Any, Final

from psycopg import Connection

from projections.sql.monitoring import MonitoringSql

STRETCH_MAX: Final = 20_000
"""Events per transaction: some 0.1 s."""
ROUNDS_MAX: Final = 20
CLICK_TO_SENT_S: Final = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Bounds of the histogram of the time from a click to its mail; the promise is "within seconds"."""


def advance(conn: Connection[Any]) -> int:
    """Take in what is new in the log, up to a bound; how many events. At once 0 if somebody else is doing it."""
    taken = 0
    for _ in range(ROUNDS_MAX):
        with conn.transaction():
            count = _advance_once(conn)
        taken += count
        if count < STRETCH_MAX:
            break
    return taken


def _advance_once(conn: Connection[Any]) -> int:
    row = conn.execute(MonitoringSql.take_tallies).fetchone()
    if row is None:
        return 0
    (after,) = _plain(row)
    found = conn.execute(MonitoringSql.next_tallied, (after, STRETCH_MAX)).fetchone()
    if found is None:
        raise AssertionError
    upto, count = _plain(found)
    if count:
        conn.execute(MonitoringSql.add_tallies, {"after": after, "upto": upto, "bounds": list(CLICK_TO_SENT_S)})
        conn.execute(MonitoringSql.set_tallied, (upto,))
    return int(count)


def _plain(row: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a row as a dict or a tuple, by whose connection it is
    return tuple(row.values()) if isinstance(row, dict) else tuple(row)
