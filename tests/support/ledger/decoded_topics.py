"""Which events a module of the store decodes: what is cached or in a snapshot is not decoded again."""

from types import ModuleType

import pytest

from domain.events.event import Event
from projections.event_store import codec


def record_decoded_topics(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[str]:
    """Return a list to which each event that the module decodes adds its topic."""
    topics: list[str] = []
    decode = codec.decode

    def record_and_decode(topic: str, state: bytes) -> Event:
        topics.append(topic)
        return decode(topic, state)

    monkeypatch.setattr(module, "decode", record_and_decode)
    return topics
