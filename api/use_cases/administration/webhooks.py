"""Webhook endpoints: which URLs are allowed, and sending a test message, which the workers' client does."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from api.errors import ApplicationError
from api.settings import ApiSettings
from api.use_cases.services import Services
from domain.webhooks.target_url import Target, TargetError, TargetFault
from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_values
from projections.repositories.webhook_deliveries import (
    TEST_TYPE,
    DeliveryResult,
    DeliveryState,
    WebhookDeliveryRepository,
)
from projections.repositories.webhook_endpoints import WebhookEndpoint, WebhookEndpointRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository


def fault_of_target(url: str, settings: ApiSettings) -> TargetFault | None:
    """Return why a URL cannot be a target; None if it can. Its name is resolved and checked again whenever we send."""
    try:
        Target.parse(url, settings.webhook_networks)
    except TargetError as error:
        return error.fault
    return None


def checked_target(url: str, settings: ApiSettings) -> str:
    """Return the URL, trimmed.

    Raises:
        ApplicationError: TARGET_REFUSED, with what to write instead.
    """
    if (why := fault_of_target(trimmed := url.strip(), settings)) is not None:
        raise ApplicationError("TARGET_REFUSED", why=why)
    return trimmed


SPARE_S: Final = 5.0
"""Seconds for storing a test's result, in addition to the message's own time."""


class HookAnswer(Protocol):
    """The result of one message to a webhook endpoint."""

    @property
    def outcome(self) -> str:
        """Stable word."""

    @property
    def status(self) -> int | None:
        """Status of the response, if there was one."""

    @property
    def ms(self) -> int:
        """Duration in milliseconds."""

    @property
    def is_delivered(self) -> bool:
        """Whether the endpoint accepted it."""


class HookPost(Protocol):
    """Sends tests to webhook endpoints."""

    def test_hook(self, url: str, secrets: Sequence[str], delivery_id: UUID, now: datetime) -> HookAnswer:
        """Send a test now, in the calling thread, within the timeout of webhooks."""


def send_test(services: Services, post: HookPost, endpoint: WebhookEndpoint, audit_log: AuditLog) -> HookAnswer:
    """Send a test now, and store its result with an entry in the audit log.

    Raises:
        ApplicationError: The database is unavailable, or the endpoint takes too long.
    """
    secrets, deliveries = WebhookSecretRepository(services.storage), WebhookDeliveryRepository(services.storage)
    delivery_id, now = services.new_id(), audit_log.now

    sent = post.test_hook(endpoint.url, secrets.list_valid_texts(endpoint.endpoint_id, now), delivery_id, now)
    state: DeliveryState = "delivered" if sent.is_delivered else "failed"
    result = DeliveryResult(delivery_id, state, None, now, sent.outcome, sent.status, sent.ms)

    def keep(record: AuditRecorder) -> None:
        deliveries.insert_test(endpoint.endpoint_id, TEST_TYPE, result)
        record("sent_test", endpoint.endpoint_id, describe_values(url=endpoint.url, outcome=sent.outcome))

    audit_log.perform(keep)
    return sent


def endpoint_of(services: Services, endpoint_id: UUID) -> WebhookEndpoint:
    """Return an endpoint by its id.

    Raises:
        ApplicationError: NOT_FOUND, or the database is unavailable.
    """
    endpoint = WebhookEndpointRepository(services.storage).find(endpoint_id)
    if endpoint is None:
        raise ApplicationError("NOT_FOUND")
    return endpoint
