"""The order in which a message's reservations are worked on, so that no group's own system holds up anybody else.

Of each group that has a channel of its own only some hands are used at once, and one whose system did not answer rests
for a while: what is left of it then is still due, and the sweep's. So it is with the usual channel: no more is begun
than its server has connections for, and nothing while it lets none in.
"""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from domain.ports import Outcome, OutcomeUnknown, Rejected

COOLDOWN_S: Final = 20.0
"""About as long as one message may take; the sweep repeats its wake-up calls ever more rarely anyway."""
UNBOUNDED: Final = sys.maxsize
"""The room of a channel that opens no connections."""
NO_RESPONSE: Final = frozenset({"unreachable", "timeout", "connection_lost"})


class Cooldowns:
    """Which groups' systems are left alone for now; one per process, for one thread at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def record(self, group: str, outcome: Outcome) -> None:
        """What a group's system made of an invitation or a notice."""
        is_silent = (isinstance(outcome, Rejected) and outcome.reason in NO_RESPONSE) or (
            isinstance(outcome, OutcomeUnknown) and outcome.cause in NO_RESPONSE
        )
        if is_silent:
            self._until[group] = self._clock() + COOLDOWN_S
        else:
            self._until.pop(group, None)

    def is_active(self, group: str) -> bool:
        """Whether it rests."""
        return self._until.get(group, 0.0) > self._clock()


class GroupLimiter:
    """What is left of one message.

    Args:
        reservation_ids: All of it; one that comes twice is one.
        groups: Of which group with a channel of its own a reservation is.
        group_max: How many of such a group are worked on at once.
        cooldowns: Which of them are left alone.
        default_capacity: How many of all others are worked on at once; 0 while their server is left alone.
    """

    def __init__(
        self,
        reservation_ids: Sequence[UUID],
        groups: Mapping[UUID, str],
        group_max: int,
        cooldowns: Cooldowns,
        default_capacity: Callable[[], int] = lambda: UNBOUNDED,
    ) -> None:
        self._left = deque(dict.fromkeys(reservation_ids))
        self._groups = groups
        self._lane_max = group_max
        self._rests = cooldowns
        self._room = default_capacity
        self._busy: Counter[str | None] = Counter()

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return bool(self._left)

    def acquire(self, limit: int) -> list[UUID]:
        """The next ones, that many at most."""
        taken: list[UUID] = []
        later: list[UUID] = []
        default_capacity = self._room()
        while self._left and len(taken) < limit:
            item = self._left.popleft()
            group = self._groups.get(item)
            group_max = self._lane_max if group is not None else default_capacity
            if not group_max or (group is not None and self._rests.is_active(group)):
                continue
            if self._busy[group] >= group_max:
                later.append(item)
                continue
            self._busy[group] += 1
            taken.append(item)
        self._left.extendleft(reversed(later))
        return taken

    def release(self, taken: Collection[UUID]) -> None:
        """These are worked on no more, or never were."""
        for item in taken:
            self._busy[self._groups.get(item)] -= 1

    def record(self, item: UUID, outcome: Outcome) -> None:
        """What became of one."""
        if (group := self._groups.get(item)) is not None:
            self._rests.record(group, outcome)

    def clear(self) -> None:
        """Nothing more is begun."""
        self._left.clear()
