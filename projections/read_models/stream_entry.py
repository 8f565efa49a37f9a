"""One event of a stream as every view of events reads it."""

from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from domain.events.event import Event

State = TypeVar("State")


class Entry(NamedTuple, Generic[State]):
    """One event and its place, with the state of its stream before and after it.

    Attributes:
        stream_id: The code or campaign.
        version: Its place in the stream.
        position: Its place in the log.
        before: None before the first event of the stream, and where no states are read.
    """

    stream_id: UUID
    version: int
    position: int
    event: Event
    before: State | None
    state: State
