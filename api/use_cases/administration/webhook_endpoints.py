"""Webhook endpoints: each change with its line in the audit log, which holds old and new values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_changes, describe_values
from projections.repositories.webhook_deliveries import WebhookDeliveryRepository
from projections.repositories.webhook_endpoints import WebhookEndpoint, WebhookEndpointRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDraft:
    """A new endpoint. `position`: after which it is notified of events; None: from now on."""

    endpoint_id: UUID
    url: str
    event_types: Sequence[str]
    concurrency: int
    position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointTerms:
    """What is to change about an endpoint; None: it stays."""

    url: str | None = None
    event_types: Sequence[str] | None = None
    concurrency: int | None = None
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
        )
        if secret is not None:
            details = describe_values(
                url=draft.url, events=list(draft.event_types) or "all", concurrency=draft.concurrency
            )
            record("made_webhook", draft.endpoint_id, details)
        return secret

    return audit_log.perform(change)


def change_endpoint(audit_log: AuditLog, before: WebhookEndpoint, terms: EndpointTerms) -> None:
    """Change what is named."""
    endpoints, key = WebhookEndpointRepository(audit_log.storage), before.endpoint_id

    def change(record: AuditRecorder) -> None:
        url, types, concurrency = terms.url, terms.event_types, terms.concurrency
        if url is not None or types is not None or concurrency is not None:
            endpoints.update(key, audit_log.now, url=url, event_types=types, concurrency=concurrency)
        if terms.state == "disabled":
            endpoints.disable(key, "by_staff", audit_log.now)
        elif terms.state == "enabled":
            endpoints.enable(key, audit_log.now)
        after = endpoints.find(key)
        if after is not None and (details := _difference(before, after)):
            record("changed_webhook", key, details)

    audit_log.perform(change)


def remove_endpoint(audit_log: AuditLog, endpoint_id: UUID) -> bool:
    """Remove an endpoint permanently; False if there is none."""
    endpoints = WebhookEndpointRepository(audit_log.storage)

    def change(record: AuditRecorder) -> bool:
        before = endpoints.find(endpoint_id)
        is_done = endpoints.delete(endpoint_id, audit_log.now)
        if is_done:
            record("removed_webhook", endpoint_id, before.url if before else "")
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


def redeliver_failed(audit_log: AuditLog, endpoint_id: UUID, since: datetime) -> int:
    """Send again what failed permanently since a time; how many messages."""
    deliveries = WebhookDeliveryRepository(audit_log.storage)

    def change(record: AuditRecorder) -> int:
        count = deliveries.redeliver_failed(endpoint_id, since, audit_log.now)
        if count:
            record("redelivered", endpoint_id, describe_values(failed=count, since=since.isoformat()))
        return count

    return audit_log.perform(change)


def _difference(before: WebhookEndpoint, after: WebhookEndpoint) -> str:
    return describe_changes(
        url=(before.url, after.url),
        events=(before.event_types, after.event_types),
        concurrency=(before.concurrency, after.concurrency),
        state=(before.state, after.state),
    )
