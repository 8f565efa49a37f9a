"""Events to bytes and back: by msgspec, one decoder per stored topic, upcasters for former versions."""

from collections.abc import Mapping
from typing import Final

import msgspec

from domain.events.event import Event
from domain.events.registry import EVENT_TYPES, topic_of
from domain.events.upcasters import UPCASTS, Upcast, upcast_chain
from projections.event_store.stored_state import Decode, pack, read_fields, state_decoder


class UnreadableEventError(Exception):
    """The log holds an event that this version of the program cannot decode. The message names its topic."""


_topics: dict[type[Event], str] = {kind: topic_of(kind) for kind in EVENT_TYPES.values()}


def decoders(upcasts: Mapping[str, Upcast]) -> dict[str, Decode[Event]]:
    """Return a decoder for every topic that the log may hold: those of this version and of former versions.

    Raises:
        LookupError: A former topic leads to no event of today, or a version of a type is missing.
    """
    kinds = {topic_of(kind): kind for kind in EVENT_TYPES.values()}
    decoders_by_topic: dict[str, Decode[Event]] = {topic: state_decoder(kind) for topic, kind in kinds.items()}
    for former_topic in upcasts:
        topic, steps = upcast_chain(former_topic, frozenset(kinds), upcasts)
        decoders_by_topic[former_topic] = _former_decoder(kinds[topic], steps)
    for kind in EVENT_TYPES.values():
        for version in range(1, kind.TOPIC_VERSION):
            if (missing_topic := f"{kind.__name__}:{version}") not in decoders_by_topic:
                raise LookupError(f"no upcaster for {missing_topic}: the log may hold such events forever")
    return decoders_by_topic


def _former_decoder(kind: type[Event], steps: list[Upcast]) -> Decode[Event]:
    def decode_former(state: bytes) -> Event:
        fields = read_fields(state)
        for step in steps:
            try:
                fields = step.change(fields)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise msgspec.ValidationError(f"cannot be upgraded to {step.topic}: {error!r}") from error
        return msgspec.convert(fields, kind)

    return decode_former


DECODERS: Final = decoders(UPCASTS)
"""Decoders by topic."""


def topics_of(kind: type[Event]) -> list[str]:
    """Return every topic under which events of a type are stored, the present one first."""
    today = topic_of(kind)
    former_topic = (topic for topic in UPCASTS if upcast_chain(topic, frozenset(_topics.values()), UPCASTS)[0] == today)
    return [today, *sorted(former_topic)]


def encode(event: Event) -> tuple[str, bytes]:
    """Return the topic and the state under which an event is stored; fields at their default are left out."""
    return _topics[type(event)], pack(event)


def decode(topic: str, state: bytes) -> Event:
    """Decode a stored event.

    Raises:
        UnreadableEventError: Unknown topic, or a state that does not fit it.
    """
    decode_state = DECODERS.get(topic)
    if decode_state is None:
        message = f"no event type for topic {topic!r}: was it written by a newer version?"
        raise UnreadableEventError(message)
    try:
        return decode_state(state)
    except msgspec.DecodeError as error:
        message = f"a stored {topic} does not have the expected fields: {error}"
        raise UnreadableEventError(message) from error
