"""Events as CloudEvents 1.0.2, for systems that read the events of many products: https://cloudevents.io.

`data` of an envelope is the whole event as the feed or a webhook message has it, so the schema that `dataschema` names
describes both.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args
from uuid import UUID

MessageFormat = Literal["standard", "cloudevents"]
"""How events are sent: as they are, or as CloudEvents."""
FORMATS: Final[tuple[MessageFormat, ...]] = get_args(MessageFormat)
ONE_EVENT: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
TYPE_PREFIX: Final = "redemption-ledger."
POSITION_DIGITS: Final = 19
"""Digits of the largest position: `sequence` is compared as text."""


@dataclass(frozen=True, slots=True)
class CloudEventSource:
    """Where events come from. The feed and webhooks are two, because they have other data about an event.

    Attributes:
        url: Value of `source`.
        schemas_url: Address above the schemas of its data.
    """

    url: str
    schemas_url: str

    @classmethod
    def feed_of(cls, public_url: str) -> "CloudEventSource":
        """Return the source of the events that the feed of a ledger shows."""
        api_url = f"{public_url.rstrip('/')}/api/v1"
        return cls(f"{api_url}/events", f"{api_url}/schemas")

    @classmethod
    def webhooks_of(cls, public_url: str) -> "CloudEventSource":
        """Return the source of the webhook messages of a ledger."""
        api_url = f"{public_url.rstrip('/')}/api/v1"
        return cls(f"{api_url}/webhooks", f"{api_url}/schemas/webhooks")

    def wrap(self, name: str, event_id: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
        """Return data in an envelope.

        Args:
            name: Type of the event, such as `UseReserved`: the versions of its stored shape are none of a reader.
            event_id: Unique among the events of this source.
            at: When it took effect.
            data: The event.
        """
        return {
            "specversion": "1.0",
            "id": event_id,
            "source": self.url,
            "type": TYPE_PREFIX + name,
            "time": at,
            "datacontenttype": "application/json",
            "dataschema": f"{self.schemas_url}/{name}",
            "data": data,
        }

    def wrap_stored(
        self, name: str, place: tuple[UUID, int], at: datetime, data: dict[str, Any], *, is_of_campaign: bool
    ) -> dict[str, Any]:
        """Return an event of the log in an envelope. Its id is its position, which never changes.

        Args:
            name: Type of the event.
            place: Its stream, and its position in the log.
            at: When it took effect.
            data: The event.
            is_of_campaign: Whether the stream is a campaign's; others are codes'.
        """
        stream_id, position = place
        return self.wrap(name, str(position), at, data) | {
            "subject": f"{'campaigns' if is_of_campaign else 'codes'}/{stream_id}",
            "sequence": str(position).zfill(POSITION_DIGITS),
        }
