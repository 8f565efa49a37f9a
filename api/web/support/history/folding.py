"""Folding of a history: a run of events that say the same becomes one line with their count, which opens."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from typing import Final, Generic, NamedTuple

from api.web.support.view_models import EventLine
from projections.read_models.stream_entry import State

FOLDED_MIN: Final = 3
"""Fewest events of a run that is folded: two lines are read as fast as one with a count."""
RUN_MAX: Final = 200
"""Most lines by which a run goes on beyond the end of its page: they are in the page, though folded."""
BALANCES: Final = ("used", "reserved", "occupied")
"""Counts of codes and campaigns that a folded run changes."""
_DIFFERENCES: Final = re.compile(r"\S*[\d@]\S*")
"""Words that differ between equal events: numbers, times, email addresses, and ids of email servers."""


class BalanceChange(NamedTuple):
    """A count before and after a run; `page.history.fold.<name>` is its text."""

    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class FoldedRun(Generic[State]):
    """Lines of equal events that follow one another, in the order of their page.

    Attributes:
        is_continued: Whether the page before ended with events of this run.
        is_cut: Whether the next page begins with others of them.
    """

    lines: list[EventLine[State]]
    is_continued: bool = False
    is_cut: bool = False

    @property
    def oldest(self) -> EventLine[State]:
        """The first event of them that happened."""
        return min(self.lines, key=lambda line: line.version)

    @property
    def newest(self) -> EventLine[State]:
        """The last one."""
        return max(self.lines, key=lambda line: line.version)

    @property
    def changes(self) -> list[BalanceChange]:
        """What they changed together."""
        before, after = self.oldest.entry.before, self.newest.entry.state
        counts = [(name, getattr(before, name, 0), getattr(after, name, 0)) for name in BALANCES]
        return [BalanceChange(*count) for count in counts if count[1] != count[2]]


class PageLines(NamedTuple, Generic[State]):
    """The lines of a page, and where the next one begins; None on the last page. `is_cut`: within a run."""

    lines: list[EventLine[State]]
    next: int | None
    is_cut: bool = False


def complete_last_run(
    page: PageLines[State],
    read_more: Callable[[int, int], PageLines[State]],
    find_place: Callable[[EventLine[State]], int],
) -> PageLines[State]:
    """Return a page with the lines that continue the run at its end, at most `RUN_MAX`, so that its fold counts all.

    Args:
        page: The page.
        read_more: Returns at most so many lines behind a place.
        find_place: Returns the place behind a line.
    """
    key = _key_of(page.lines[-1]) if page.lines else None
    if key is None or page.next is None:
        return page
    more: list[EventLine[State]] = []
    for limit in (FOLDED_MIN, RUN_MAX + 1):
        following = read_more(page.next, limit)
        more = list(takewhile(lambda line: _key_of(line) == key, following.lines))
        if len(more) < len(following.lines) or following.next is None:
            break
    equal = sum(1 for _ in takewhile(lambda line: _key_of(line) == key, reversed(page.lines)))
    added = more[:RUN_MAX]
    if not added or equal + len(added) < FOLDED_MIN:
        return page
    is_whole = len(added) == len(following.lines)
    return PageLines(
        [*page.lines, *added], following.next if is_whole else find_place(added[-1]), is_cut=len(more) > len(added)
    )


def fold_lines(
    lines: Sequence[EventLine[State]],
    *,
    named: Collection[int] = (),
    before: EventLine[State] | None = None,
    is_cut: bool = False,
) -> list[EventLine[State] | FoldedRun[State]]:
    """Return the lines of a page in their order, with each run of at least `FOLDED_MIN` equal ones folded.

    Args:
        lines: Of one stream, or of several: a run has events of one.
        named: Versions of events that a link to the page names: they stay visible without a click.
        before: The last line of the page before.
        is_cut: Whether the next page begins with events of the last run.
    """
    rows: list[EventLine[State] | FoldedRun[State]] = []
    last_key = None if before is None else _key_of(before)
    is_continued = last_key is not None
    for key, run in groupby(lines, key=lambda line: _key_of(line, named)):
        equal = list(run)
        is_folded = key is not None and len(equal) >= FOLDED_MIN
        is_continued = is_continued and _key_of(equal[0]) == last_key
        rows += [FoldedRun(equal, is_continued=is_continued)] if is_folded else equal
    if is_cut and isinstance(last := rows[-1], FoldedRun):
        rows[-1] = replace(last, is_cut=True)
    return rows


def _key_of(line: EventLine[State], named: Collection[int] = ()) -> tuple[object, ...] | None:
    """Return what equal events have in common; None for one that is never folded."""
    if line.event.LANDMARK or line.text is not None or line.is_note or line.version in named:
        return None
    return (line.entry.stream_id, line.kind, line.event.actor, _DIFFERENCES.sub("#", line.sentence))
