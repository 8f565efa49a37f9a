"""Folding of a history: a run of events that say the same becomes one line with their count, which opens."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Generic, NamedTuple

from api.web.support.view_models import EventLine
from projections.read_models.stream_entry import State

FOLDED_MIN: Final = 3
"""Fewest events of a run that is folded: two lines are read as fast as one with a count."""
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
    """Lines of equal events that follow one another, in the order of their page."""

    lines: list[EventLine[State]]

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


def fold_lines(
    lines: Sequence[EventLine[State]], *, named: Collection[int] = ()
) -> list[EventLine[State] | FoldedRun[State]]:
    """Return the lines of a page in their order, with each run of at least `FOLDED_MIN` equal ones folded.

    Args:
        lines: Of one stream.
        named: Versions of events that a link to the page names: they stay visible without a click.
    """
    rows: list[EventLine[State] | FoldedRun[State]] = []
    for key, run in groupby(lines, key=lambda line: _key_of(line, named)):
        equal = list(run)
        rows += [FoldedRun(equal)] if key is not None and len(equal) >= FOLDED_MIN else equal
    return rows


def _key_of(line: EventLine[State], named: Collection[int]) -> tuple[str, ...] | None:
    """Return what equal events have in common; None for one that is never folded."""
    if line.event.LANDMARK or line.text is not None or line.is_note or line.version in named:
        return None
    return (line.kind, line.event.actor, _DIFFERENCES.sub("#", line.sentence))
