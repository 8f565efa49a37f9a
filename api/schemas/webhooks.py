"""Wire models of webhooks: endpoints, and the results of their messages."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from api.schemas.resources import StrictRequest
from domain.values.number_bounds import POSITIONS
from domain.webhooks.cloud_events import MessageFormat
from domain.webhooks.target_url import URL_LENGTH_MAX
from projections.repositories.webhook_deliveries import DeliveryRow, DeliveryState
from projections.repositories.webhook_endpoints import (
    CONCURRENCY,
    EVENT_NAMES,
    DisabledReason,
    EndpointState,
    WebhookEndpoint,
)
from projections.repositories.webhook_secrets import SecretRow


class SecretView(BaseModel):
    """A valid signing secret, without its text."""

    created_at: datetime
    ends_at: datetime | None


def views_of_secrets(lines: list[SecretRow]) -> list[SecretView]:
    """Return secrets as responses show them."""
    return [SecretView.model_validate(one._asdict()) for one in lines]


def known_types(names: list[str]) -> list[str]:
    """Return names of events, each once, in the order of the events.

    Raises:
        ValueError: One of them is not the name of an event.
    """
    if unknown := set(names) - set(EVENT_NAMES):
        raise ValueError(f"there is no event type {min(unknown)}")
    return [name for name in EVENT_NAMES if name in names]


EventTypes = Annotated[
    list[Annotated[str, Field(json_schema_extra={"enum": list(EVENT_NAMES)})]],
    Field(
        max_length=100,
        description=f"Event types to send; empty for all. Values: {', '.join(EVENT_NAMES)}",
        examples=[["InviteSent"]],
    ),
    AfterValidator(known_types),
]
Concurrency = Annotated[
    int,
    Field(
        ge=CONCURRENCY.least, le=CONCURRENCY.most, description="Maximum number of messages that are sent concurrently."
    ),
]
Format = Annotated[
    MessageFormat,
    Field(
        description="How messages are written: `standard`, or `cloudevents` for CloudEvents 1.0 in structured mode. "
        "Both are signed as Standard Webhooks."
    ),
]
Url = Annotated[str, Field(min_length=1, max_length=URL_LENGTH_MAX)]


class EndpointRequest(StrictRequest):
    """A new webhook endpoint."""

    url: Url
    event_types: EventTypes = Field(default=[])
    concurrency: Concurrency = 1
    format: Format | None = Field(default=None, description="How messages are written; null: `standard`.")
    from_position: int | None = Field(
        default=None,
        ge=POSITIONS.least,
        le=POSITIONS.most,
        description="Send events after this log position; null: only new events.",
    )


class EndpointChange(StrictRequest):
    """Changed fields of a webhook endpoint. Fields that are missing stay as they are."""

    url: Url | None = None
    event_types: EventTypes | None = None
    concurrency: Concurrency | None = None
    format: Format | None = None
    state: EndpointState | None = Field(default=None, description="`enabled` continues where the endpoint stopped.")


class EndpointView(BaseModel):
    """A webhook endpoint."""

    id: UUID
    url: str
    event_types: list[str]
    concurrency: int
    format: Format
    state: EndpointState
    reason: DisabledReason | None = Field(description="Why the endpoint is disabled; null while it is enabled.")
    created_at: datetime
    position: int = Field(description="Log position up to which messages were created.")
    behind: int = Field(description="Number of log positions after `position`.")
    pending: int = Field(description="Number of messages that are waiting, new or for a retry.")
    failures: int = Field(description="Number of consecutive failed deliveries.")
    resting_until: datetime | None
    succeeded_at: datetime | None
    secrets: list[SecretView]
    secret: str | None = None

    @classmethod
    def of(cls, endpoint: WebhookEndpoint, secrets: list[SecretRow], secret: str | None) -> "EndpointView":
        """Build the view of a stored endpoint."""
        fields = {
            **endpoint._asdict(),
            "id": endpoint.endpoint_id,
            "secrets": views_of_secrets(secrets),
            "secret": secret,
        }
        return cls.model_validate(fields)


class EndpointPage(BaseModel):
    """A page of webhook endpoints, oldest first."""

    webhooks: list[EndpointView]
    next: str | None


class DeliveryView(BaseModel):
    """A webhook message and its deliveries."""

    id: UUID
    position: int | None
    event_type: str
    state: DeliveryState
    made_at: datetime
    due_at: datetime | None
    attempts: int
    last_at: datetime | None
    last_outcome: str | None
    last_status: int | None
    last_ms: int | None

    @classmethod
    def of(cls, line: DeliveryRow) -> "DeliveryView":
        """Build the view of a stored delivery."""
        return cls.model_validate({**line._asdict(), "id": line.delivery_id})


class DeliveryPage(BaseModel):
    """A page of webhook messages, newest first."""

    deliveries: list[DeliveryView]
    next: str | None


class TestOutcome(BaseModel):
    """Result of a test message."""

    taken: bool
    outcome: str
    status: int | None
    ms: int


class Redelivered(BaseModel):
    """Result of sending messages again."""

    count: int
