"""Webhook endpoints of a configuration file."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from api.errors import ApplicationError
from api.use_cases.administration.webhook_endpoints import (
    EndpointDraft,
    EndpointTerms,
    add_endpoint,
    change_endpoint,
    checked_target,
    remove_endpoint,
)
from api.use_cases.configuration.changes import (
    Existing,
    PlanContext,
    PlannedChange,
    list_differences,
    plan_entries,
)
from api.use_cases.configuration.config_file import WebhookEntry, document_of
from projections.database.store_queries import ReadableStore
from projections.read_models.pagination import OLDEST, read_to_end
from projections.repositories.audit_log import NO_REASON
from projections.repositories.webhook_endpoints import WebhookEndpoint, WebhookEndpointRepository

ATTRIBUTES: Final = {"format": "message_format"}
"""Attributes of a draft whose name is not that of the field."""


def plan_webhooks(context: PlanContext, entries: Sequence[WebhookEntry]) -> Iterator[PlannedChange]:
    """Return the change of each endpoint that differs from its entry.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    endpoints = [
        Existing(one.endpoint_id, one.url, has_ended=False, value=one)
        for one in _read_endpoints(context.services.storage)
    ]

    def plan(entry: WebhookEntry, existing: Existing[WebhookEndpoint] | None) -> PlannedChange | None:
        return _add(context, entry) if existing is None else _change(context, existing.value, entry)

    return plan_entries(context, "webhook", entries, endpoints, plan, partial(_remove, context))


def export_webhooks(storage: ReadableStore, _now: datetime) -> Iterator[dict[str, Any]]:
    """Yield the entry of each endpoint, oldest first."""
    return (document_of(_entry_of(endpoint)) for endpoint in _read_endpoints(storage))


def _add(context: PlanContext, entry: WebhookEntry) -> PlannedChange:
    settings = entry.model_dump(exclude={"id"})
    terms = {ATTRIBUTES.get(name, name): value for name, value in settings.items()}

    def perform() -> str | None:
        draft = EndpointDraft(endpoint_id=context.services.new_id(), **terms)
        return add_endpoint(context.services.open_audit_log(context.caller), draft)

    differences = list_differences({}, document_of(entry))
    return PlannedChange(
        kind="webhook",
        name=entry.url,
        action="create",
        differences=differences,
        live={},
        problem=_find_fault(context, entry.url),
        perform=perform,
    )


def _change(context: PlanContext, endpoint: WebhookEndpoint, entry: WebhookEntry) -> PlannedChange | None:
    differences = list_differences(_entry_of(endpoint).model_dump(exclude={"id"}), entry.model_dump(exclude={"id"}))
    if not differences:
        return None

    def perform() -> None:
        terms = EndpointTerms(**{ATTRIBUTES.get(one.field, one.field): one.after for one in differences})
        change_endpoint(context.services.open_audit_log(context.caller), endpoint, terms)

    return PlannedChange(
        kind="webhook",
        name=endpoint.url,
        action="change",
        differences=differences,
        live=_count_messages(endpoint),
        problem=None if entry.url == endpoint.url else _find_fault(context, entry.url),
        perform=perform,
    )


def _remove(context: PlanContext, endpoint: WebhookEndpoint) -> PlannedChange:
    def perform() -> None:
        audit_log = context.services.open_audit_log(context.caller)
        if not remove_endpoint(audit_log, endpoint.endpoint_id, context.note or NO_REASON):
            raise ApplicationError("NOT_FOUND")

    return PlannedChange(
        kind="webhook", name=endpoint.url, action="remove", live=_count_messages(endpoint), perform=perform
    )


def _find_fault(context: PlanContext, url: str) -> str | None:
    try:
        checked_target(url, context.settings)
    except ApplicationError as error:
        return context.explain(error)
    return None


def _read_endpoints(storage: ReadableStore) -> Iterator[WebhookEndpoint]:
    read_page = WebhookEndpointRepository(storage).list_page
    return read_to_end(read_page, OLDEST, lambda one: (one.created_at, one.endpoint_id))


def _entry_of(endpoint: WebhookEndpoint) -> WebhookEntry:
    values = {name: getattr(endpoint, name) for name in WebhookEntry.model_fields if name != "id"}
    return WebhookEntry.model_construct(id=endpoint.endpoint_id, **values)


def _count_messages(endpoint: WebhookEndpoint) -> dict[str, object]:
    return {"waiting messages": endpoint.pending, "events not read": endpoint.behind}
