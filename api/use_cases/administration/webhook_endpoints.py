"""Webhook endpoints: allowed URLs, each change with its line in the audit log, and a test message."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol
from uuid import UUID

from api.errors import ApplicationError
from api.use_cases.services import Caller, Services
from domain.webhooks.cloud_events import MessageFormat
from domain.webhooks.target_url import Target, TargetError, TargetFault
from projections.config.settings import LedgerSettings
from projections.repositories.audit_log import (
    AuditLog,
    AuditRecorder,
    describe_changes,
    describe_reason,
    describe_values,
)
from projections.repositories.webhook_deliveries import (
    TEST_TYPE,
    DeliveryResult,
    DeliveryState,
    WebhookDeliveryRepository,
)
from projections.repositories.webhook_endpoints import WebhookEndpoint, WebhookEndpointRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository

SPARE_S: Final = 5.0
"""Seconds for storing a test's result, in addition to the message's own time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDraft:
    """A new endpoint. `position`: after which it is notified of events; None: from now on."""

    endpoint_id: UUID
    url: str
    event_types: Sequence[str]
    concurrency: int
    position: int | None = None
    message_format: MessageFormat = "standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointTerms:
    """What is to change about an endpoint; None: it stays."""

    url: str | None = None
    event_types: Sequence[str] | None = None
    concurrency: int | None = None
    message_format: MessageFormat | None = None
    state: Literal["enabled", "disabled"] | None = None


def add_endpoint(audit_log: AuditLog, draft: EndpointDraft) -> str | None:
    """Enter an endpoint; its secret, to be shown once; None if it was entered before."""
    endpoints, text_id = WebhookEndpointRepository(audit_log.storage), audit_log.new_id()

    def change(record: AuditRecorder) -> str | None:
        secret = endpoints.insert(
            draft.endpoint_id,
            draft.url,
            draft.event_types,
            draft.concurrency,
            text_id,
            audit_log.now,
            position=draft.position,
            message_format=draft.message_format,
        )
        if secret is not None:
            details = describe_values(
                url=draft.url,
                events=list(draft.event_types) or "all",
                concurrency=draft.concurrency,
                format=draft.message_format,
            )
            record("made_webhook", draft.endpoint_id, details)
        return secret

    return audit_log.perform(change)


def change_endpoint(
    audit_log: AuditLog, before: WebhookEndpoint, terms: EndpointTerms, note: str | None = None
) -> None:
    """Change what is named. `note`: the reason, for the audit log."""
    endpoints, key = WebhookEndpointRepository(audit_log.storage), before.endpoint_id

    def change(record: AuditRecorder) -> None:
        url, types, concurrency, message_format = terms.url, terms.event_types, terms.concurrency, terms.message_format
        if any(value is not None for value in (url, types, concurrency, message_format)):
            endpoints.update(
                key,
                audit_log.now,
                url=url,
                event_types=types,
                concurrency=concurrency,
                message_format=message_format,
            )
        if terms.state == "disabled":
            endpoints.disable(key, "by_staff", audit_log.now)
        elif terms.state == "enabled":
            endpoints.enable(key, audit_log.now)
        after = endpoints.find(key)
        if after is not None and (details := _difference(before, after)):
            record("changed_webhook", key, details if note is None else f"{note}; {details}")

    audit_log.perform(change)


def remove_endpoint(audit_log: AuditLog, endpoint_id: UUID, reason: str) -> bool:
    """Remove an endpoint permanently; False if there is none."""
    endpoints = WebhookEndpointRepository(audit_log.storage)

    def change(record: AuditRecorder) -> bool:
        before = endpoints.find(endpoint_id)
        is_done = endpoints.delete(endpoint_id, audit_log.now)
        if is_done:
            record("removed_webhook", endpoint_id, describe_reason(reason, url=before.url if before else None))
        return is_done

    return audit_log.perform(change)


def redeliver(audit_log: AuditLog, endpoint_id: UUID, delivery_id: UUID) -> bool:
    """Send one message again; False if there is none."""
    deliveries = WebhookDeliveryRepository(audit_log.storage)

    def change(record: AuditRecorder) -> bool:
        is_done = deliveries.redeliver(endpoint_id, delivery_id, audit_log.now)
        if is_done:
            record("redelivered", endpoint_id, describe_values(delivery=delivery_id))
        return is_done

    return audit_log.perform(change)


def redeliver_failed(audit_log: AuditLog, endpoint_id: UUID, since: datetime, note: str | None = None) -> int:
    """Send again what failed permanently since a time; how many messages. `note`: the reason, for the audit log."""
    deliveries = WebhookDeliveryRepository(audit_log.storage)

    def change(record: AuditRecorder) -> int:
        count = deliveries.redeliver_failed(endpoint_id, since, audit_log.now)
        if count:
            record("redelivered", endpoint_id, _describe(note, failed=count, since=since.isoformat()))
        return count

    return audit_log.perform(change)


def _describe(note: str | None, **values: object) -> str:
    return describe_values(**values) if note is None else describe_reason(note, **values)


def _difference(before: WebhookEndpoint, after: WebhookEndpoint) -> str:
    return describe_changes(
        url=(before.url, after.url),
        events=(before.event_types, after.event_types),
        concurrency=(before.concurrency, after.concurrency),
        format=(before.format, after.format),
        state=(before.state, after.state),
    )


def fault_of_target(url: str, settings: LedgerSettings) -> TargetFault | None:
    """Return why a URL cannot be a target; None if it can. Its name is resolved and checked again whenever we send."""
    try:
        Target.parse(url, settings.webhook_networks)
    except TargetError as error:
        return error.fault
    return None


def checked_target(url: str, settings: LedgerSettings) -> str:
    """Return the URL, trimmed.

    Raises:
        ApplicationError: TARGET_REFUSED, with what to write instead.
    """
    if (why := fault_of_target(trimmed := url.strip(), settings)) is not None:
        raise ApplicationError("TARGET_REFUSED", why=why)
    return trimmed


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

    def test_hook(
        self, url: str, secrets: Sequence[str], message_format: MessageFormat, delivery_id: UUID, now: datetime
    ) -> HookAnswer:
        """Send a test now, in the calling thread, within the timeout of webhooks."""


def send_test(
    services: Services, post: HookPost, endpoint: WebhookEndpoint, audit_log: AuditLog, caller: Caller
) -> HookAnswer:
    """Send a test now, and store its result with an entry in the audit log.

    Raises:
        ApplicationError: RATE_LIMITED; the database is unavailable, or the endpoint takes too long.
    """
    services.limit_test_messages(caller)
    secrets, deliveries = WebhookSecretRepository(services.storage), WebhookDeliveryRepository(services.storage)
    delivery_id, now = services.new_id(), audit_log.now

    valid = secrets.list_valid_texts(endpoint.endpoint_id, now)
    sent = post.test_hook(endpoint.url, valid, endpoint.format, delivery_id, now)
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
