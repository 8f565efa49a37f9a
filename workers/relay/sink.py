"""What a relay writes to, and how that can fail."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID


class RelayRecord(NamedTuple):
    """An event as it is passed on.

    Attributes:
        position: In the log; grows from record to record.
        key: Id of the code or campaign: records of one keep their order.
        attributes: Those of the CloudEvent, without its data.
        data: The event as the feed has it, as JSON.
        envelope: The whole CloudEvent, as JSON.
    """

    position: int
    key: UUID
    attributes: Mapping[str, str]
    data: bytes
    envelope: bytes


class SinkUnavailableError(Exception):
    """The target did not acknowledge the records; some may be there. The same ones are sent again."""


class SinkTooLargeError(Exception):
    """The target accepts no message of this size. Fewer records may be accepted."""


class SinkRefusedError(Exception):
    """The target accepts nothing until an operator has changed something; the message says what."""


class Sink(Protocol):
    """A target.

    Attributes:
        longest_send_s: Longest time of one `send`.
    """

    longest_send_s: float

    def send(self, records: Sequence[RelayRecord]) -> None:
        """Send records in order, and return once the target has acknowledged all of them.

        Raises:
            SinkUnavailableError: It did not. It was not sent more records of one key after one that is missing.
            SinkTooLargeError: It accepts no message of this size.
            SinkRefusedError: Sending again cannot help.
        """

    def is_same(self, shown: str, /) -> bool:
        """Return whether this target is the one that operators see as that URL."""

    def close(self) -> None:
        """End connections."""
