"""Which faults there are, how often they happen, and how often they did.

Every run draws first which kinds it has and how many of them: a run with everything at once would never get anywhere,
and one with a little of everything would never meet two of a kind in a row.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Final

FREQUENT: Final = {
    "publish lost": 0.5,
    "publish error, message lost": 0.5,
    "publish error, message queued": 0.5,
    "message doubled": 0.5,
    "message late": 0.5,
    "message reordered": 0.5,
    "commit rolled back": 0.3,
    "commit answer lost": 0.3,
    "answer to the client lost": 0.3,
    "mail: busy": 0.5,
    "mail: unreachable": 0.5,
    "mail: closed at the greeting": 0.5,
    "mail: message refused": 0.3,
    "mail: address refused": 0.3,
    "mail: later": 0.3,
    "mail: slow": 0.5,
    "mail: dropped after it was taken": 0.5,
    "mail: dropped before it was taken": 0.5,
    "mail: came back later": 0.3,
    "removal: busy": 0.7,
    "removal: refused": 0.3,
    "removal: later": 0.5,
    "removal: dropped": 0.5,
    "removal: answer lost": 0.5,
    "crash of the api": 0.05,
    "crash of a worker": 0.05,
    "freeze of a worker": 0.1,
}
"""Faults that happen on an occasion, and the largest share of their occasions."""

RARE: Final = {
    "broker away": 3,
    "broker flushed": 3,
    "database away": 3,
    "clock forward": 2,
    "clock back": 2,
    "clock ahead for a while": 2,
    "beat dead": 2,
    "all workers killed": 2,
}
"""Faults that happen at some moment, and how often at most in a run."""

TOO_MANY: Final = "mail: too many connections"
"""What a mail server says whenever it has as many as it allows, in the runs in which it has a limit."""
KINDS: Final = (*FREQUENT, *RARE, TOO_MANY)


@dataclass
class FaultSchedule:
    """The faults of one run. `counts` is where each one that happened is counted; those of `without` never do."""

    random: Random
    counts: Counter[str]
    without: Collection[str] = ()

    def __post_init__(self) -> None:
        draw = self.random.random
        self.share = {kind: most * draw() ** 2 for kind, most in FREQUENT.items() if draw() < 0.4}
        self.moments = {kind: self.random.randint(1, most) for kind, most in RARE.items() if draw() < 0.35}
        for kind in self.without:
            self.share.pop(kind, None)
            self.moments.pop(kind, None)

    def happens(self, kind: str) -> bool:
        share = self.share.get(kind)
        if share is None or self.random.random() >= share:
            return False
        self.counts[kind] += 1
        return True

    def end(self) -> None:
        self.share.clear()
