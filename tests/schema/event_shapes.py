"""The shapes of stored events, approved permanently: one line for every shape that was ever written.

`approved_events.jsonl` only grows. Each line has a seal over itself and the line before, so that an earlier line cannot
be edited or left out. `python -m tests.schema.event_shapes` appends the shapes of today's examples.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from domain.events.event import Event
from projections.event_store.codec import encode
from projections.event_store.stored_state import read_fields
from tests.schema.event_examples import EXAMPLES

PATH: Final = Path(__file__).with_name("approved_events.jsonl")
SEAL_DIGITS: Final = 16


class Shape(NamedTuple):
    topic: str
    fields: dict[str, Any]
    seal: str


def read_shapes(path: Path = PATH) -> list[Shape]:
    return [Shape(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def latest_shapes(shapes: Iterable[Shape]) -> dict[str, dict[str, Any]]:
    return {shape.topic: shape.fields for shape in shapes}


def compute_seal(before: str, topic: str, fields: dict[str, Any]) -> str:
    """Compute the seal of a line from that of the line before."""
    text = json.dumps([before, topic, fields], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:SEAL_DIGITS]


def approve_shapes(events: Iterable[Event], path: Path = PATH) -> list[str]:
    """Append the shapes of events that are not the latest ones of their topics.

    Returns:
        The topics that have a new shape.
    """
    shapes = read_shapes(path)
    latest, seal = latest_shapes(shapes), shapes[-1].seal if shapes else ""
    topics: list[str] = []
    with path.open("a", encoding="utf-8") as file:
        for event in events:
            topic, state = encode(event)
            stored = read_fields(state)
            if latest.get(topic) != stored:
                seal = compute_seal(seal, topic, stored)
                file.write(json.dumps(Shape(topic, stored, seal)._asdict()) + "\n")
                topics.append(topic)
    return topics


if __name__ == "__main__":
    approve_shapes(EXAMPLES)
