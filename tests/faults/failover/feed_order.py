"""What must hold of the feed, wherever and whenever it is read."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.faults.failover.api_observations import FeedEntry


def order_violations(final: Sequence[FeedEntry], readings: dict[str, Sequence[FeedEntry]]) -> Iterator[str]:
    """Yield what is wrong with the whole feed, and with what each reader got who continued from its last position."""
    for before, after in pairwise(final):
        if before.position >= after.position:
            yield f"position {after.position} follows {before.position}"
    newest: dict[str, int] = {}
    for entry in final:
        expected = newest.get(entry.code_id, 0) + 1
        if entry.version != expected:
            yield f"code {entry.code_id}: version {entry.version} instead of {expected} at {entry.position}"
        newest[entry.code_id] = entry.version
    for name, reading in readings.items():
        yield from _prefix_violation(name, reading, final)


def _prefix_violation(name: str, reading: Sequence[FeedEntry], final: Sequence[FeedEntry]) -> Iterator[str]:
    """A reader that continues from its last position has seen every event, in order, and none that is gone."""
    for number, (read, stored) in enumerate(zip(reading, final, strict=False)):
        if read != stored:
            yield f"{name}: event {number} was read as {tuple(read)} and is {tuple(stored)}"
            return
    if len(reading) > len(final):
        yield f"{name}: read {len(reading) - len(final)} events that are gone"
