"""Upcasters: pure functions from the stored shape of a former version to the next one.

A shape that changes gets a new version of its topic, and here the step from the version before. The bytes in the log
never change, because the Merkle log vouches for them; only the decoded event is upcast, step by step: `UseReserved:1`
-> `UseReserved:2` -> what `domain.events` declares now. A renamed type is upcast the same way.
tests/schema/former_events.json holds events as each former version wrote them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

Fields = dict[str, Any]
"""A stored event as JSON: texts, numbers and booleans by the names of its fields."""


class Upcast(NamedTuple):
    """One step.

    Attributes:
        topic: The topic that it leads to.
        change: From the fields of the former version, which it may alter, to those of that topic.
    """

    topic: str
    change: Callable[[Fields], Fields]


UPCASTS: Final[Mapping[str, Upcast]] = {}
"""By the topic of each former version. None yet: until release 1.0 the log is format 0, which promises nothing."""


def upcast_chain(topic: str, current: frozenset[str], upcasts: Mapping[str, Upcast]) -> tuple[str, list[Upcast]]:
    """Return the steps from a former topic to one that is written today.

    Args:
        topic: Of a stored event.
        current: Topics that are written today.
        upcasts: Steps by the topic that each begins at.

    Returns:
        The topic at the end, and the steps in order; none if the topic is written today.

    Raises:
        LookupError: No step leads on from somewhere, or they lead in a ring.
    """
    steps: list[Upcast] = []
    place = topic
    while place not in current:
        if place not in upcasts or upcasts[place] in steps:
            raise LookupError(f"no way from {topic!r} to an event of today: it ends at {place!r}")
        steps.append(upcasts[place])
        place = steps[-1].topic
    return place, steps
