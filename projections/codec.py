"""Events to bytes and back: JSON by msgspec, one decoder per stored topic, upcasters for former versions."""

from collections.abc import Callable, Mapping

import msgspec

from domain.events import EVENT_TYPES, Event, topic_of

Decode = Callable[[bytes], Event]


class UnreadableEventError(Exception):
    """The log holds an event that this version of the code can't read. The message names its topic."""


_encoder = msgspec.json.Encoder()
_topics: dict[type[Event], str] = {kind: topic_of(kind) for kind in EVENT_TYPES}
_decoders: Mapping[str, Decode] = {topic_of(kind): msgspec.json.Decoder(kind).decode for kind in EVENT_TYPES}


def encode(event: Event) -> tuple[str, bytes]:
    """The topic and the state under which an event is stored; fields at their default are left out."""
    return _topics[type(event)], _encoder.encode(event)


def decode(topic: str, state: bytes) -> Event:
    """Read a stored event back.

    Raises:
        UnreadableEventError: Unknown topic, or a state that does not fit it.
    """
    known = _decoders.get(topic)
    if known is None:
        message = f"no event type for topic {topic!r}: was it written by a newer version?"
        raise UnreadableEventError(message)
    try:
        return known(state)
    except msgspec.DecodeError as bad:
        message = f"a stored {topic} does not have its shape: {bad}"
        raise UnreadableEventError(message) from bad
