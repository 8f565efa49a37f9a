"""Webhook endpoints over HTTP: their events, the results of their messages, and redelivery."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import Admin, NoCreationKey, TheServices
from api.http.openapi import PROTECTED, problem_responses
from api.http.pagination import Page, format_cursor, parse_cursor
from api.schemas.timestamps import Timestamp
from api.schemas.webhooks import (
    DeliveryPage,
    DeliveryView,
    EndpointChange,
    EndpointPage,
    EndpointRequest,
    EndpointView,
    Redelivered,
    TestOutcome,
)
from api.use_cases.administration.group_channels import renew_secret
from api.use_cases.administration.webhook_endpoints import (
    SPARE_S,
    EndpointDraft,
    EndpointTerms,
    HookPost,
    add_endpoint,
    change_endpoint,
    checked_target,
    endpoint_of,
    redeliver,
    redeliver_failed,
    remove_endpoint,
    send_test,
)
from api.use_cases.run_blocking import run_blocking
from api.use_cases.services import Services
from projections.read_models.pagination import NEWEST
from projections.repositories.audit_log import NO_REASON
from projections.repositories.webhook_deliveries import DeliveryState, WebhookDeliveryRepository
from projections.repositories.webhook_endpoints import WebhookEndpoint, WebhookEndpointRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository

PER_PAGE = 100
REDELIVERY_PERIOD = timedelta(days=30)

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/webhooks",
    tags=["webhooks"],
    responses={**PROTECTED, **problem_responses("MALFORMED", "TARGET_REFUSED")},
)
_OF_ONE = problem_responses("NOT_FOUND")
"""Responses of every route about one endpoint."""


async def _hook_post(request: Request) -> HookPost:
    post: HookPost = request.app.state.hook_post
    return post


TheHookPost = Annotated[HookPost, Depends(_hook_post)]


@router.post("", status_code=201, summary="Create a webhook endpoint")
def make_webhook(
    body: EndpointRequest,
    services: TheServices,
    caller: Admin,
    idempotency_key: NoCreationKey = None,  # noqa: ARG001 - refused by its length
) -> EndpointView:
    """Creates an endpoint. Only this response contains its signing secret."""
    draft = EndpointDraft(
        endpoint_id=services.new_id(),
        url=checked_target(body.url, services.settings),
        event_types=body.event_types,
        concurrency=body.concurrency,
        position=body.from_position,
        message_format=body.format or "standard",
    )
    audit_log = services.open_audit_log(caller)
    secret = add_endpoint(audit_log, draft)
    return view_of_endpoint(services, endpoint_of(services, draft.endpoint_id), secret)


@router.get("", summary="List webhook endpoints")
def list_webhooks(
    services: TheServices, _: Admin, cursor: Annotated[str | None, Query(max_length=200)] = None
) -> EndpointPage:
    """Returns one page, oldest endpoints first."""
    endpoints, after = WebhookEndpointRepository(services.storage), parse_cursor(cursor)
    rows = endpoints.list_page(after, PER_PAGE + 1)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.created_at, row.endpoint_id))
    return EndpointPage(webhooks=[view_of_endpoint(services, one) for one in page.rows], next=page.next)


@router.get("/{endpoint_id}", responses=_OF_ONE, summary="Get a webhook endpoint")
def get_webhook(endpoint_id: UUID, services: TheServices, _: Admin) -> EndpointView:
    """Returns settings and delivery state of an endpoint."""
    return view_of_endpoint(services, endpoint_of(services, endpoint_id))


@router.patch("/{endpoint_id}", responses=_OF_ONE, summary="Change, disable or enable a webhook endpoint")
def change_webhook(endpoint_id: UUID, body: EndpointChange, services: TheServices, caller: Admin) -> EndpointView:
    """Changes the fields that the request names. An endpoint that is enabled again receives the events since then."""
    terms = EndpointTerms(
        url=None if body.url is None else checked_target(body.url, services.settings),
        event_types=body.event_types,
        concurrency=body.concurrency,
        message_format=body.format,
        state=body.state,
    )
    audit_log, before = services.open_audit_log(caller), endpoint_of(services, endpoint_id)
    change_endpoint(audit_log, before, terms)
    return view_of_endpoint(services, endpoint_of(services, endpoint_id))


@router.delete("/{endpoint_id}", responses=_OF_ONE, status_code=204, summary="Delete a webhook endpoint")
def remove_webhook(endpoint_id: UUID, services: TheServices, caller: Admin) -> Response:
    """Deletes the endpoint and its delivery log. This cannot be undone."""
    audit_log = services.open_audit_log(caller)
    if not remove_endpoint(audit_log, endpoint_id, NO_REASON):
        raise ApplicationError("NOT_FOUND")
    return Response(status_code=204)


@router.post(
    "/{endpoint_id}/rotate-secret", responses=_OF_ONE, summary="Rotate the signing secret of a webhook endpoint"
)
def rotate_webhook_secret(endpoint_id: UUID, services: TheServices, caller: Admin) -> EndpointView:
    """Only this response contains the new secret. For 24 hours, messages are signed with the former secret too."""
    endpoint, audit_log = endpoint_of(services, endpoint_id), services.open_audit_log(caller)
    secret = renew_secret(audit_log, endpoint_id, endpoint.url)
    return view_of_endpoint(services, endpoint, secret)


@router.post("/{endpoint_id}/test", responses=_OF_ONE, summary="Send a test message to a webhook endpoint")
async def send_webhook_test(endpoint_id: UUID, services: TheServices, post: TheHookPost, caller: Admin) -> TestOutcome:
    """Sends one message of type `webhook.test` immediately, even to a disabled endpoint, and logs it."""
    endpoint = await services.run_blocking(endpoint_of, services, endpoint_id)
    audit_log = services.open_audit_log(caller)
    sent = await run_blocking(
        services.settings.webhook_timeout_s + SPARE_S, send_test, services, post, endpoint, audit_log, caller
    )
    return TestOutcome(taken=sent.is_delivered, outcome=sent.outcome, status=sent.status, ms=sent.ms)


@router.get("/{endpoint_id}/deliveries", responses=_OF_ONE, summary="List the deliveries of a webhook endpoint")
def list_webhook_deliveries(
    endpoint_id: UUID,
    services: TheServices,
    _: Admin,
    state: DeliveryState | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> DeliveryPage:
    """Returns one page, newest first. Delivered messages are kept for 7 days, failed ones for 30 days."""
    endpoint_of(services, endpoint_id)
    deliveries, before = WebhookDeliveryRepository(services.storage), parse_cursor(cursor, NEWEST)
    rows = deliveries.list_page(endpoint_id, before, PER_PAGE + 1, state)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.made_at, row.delivery_id))
    return DeliveryPage(deliveries=[DeliveryView.of(one) for one in page.rows], next=page.next)


@router.post(
    "/{endpoint_id}/deliveries/{delivery_id}/redeliver", responses=_OF_ONE, summary="Send a webhook message again"
)
def redeliver_one(endpoint_id: UUID, delivery_id: UUID, services: TheServices, caller: Admin) -> Redelivered:
    """Sends the message with the same ID, even if it was delivered. Enables a disabled endpoint first."""
    audit_log = services.open_audit_log(caller)
    if not redeliver(audit_log, endpoint_id, delivery_id):
        raise ApplicationError("NOT_FOUND")
    return Redelivered(count=1)


@router.post("/{endpoint_id}/redeliver-failed", responses=_OF_ONE, summary="Send all failed webhook messages again")
def redeliver_all_failed(
    endpoint_id: UUID, services: TheServices, caller: Admin, since: Timestamp | None = None
) -> Redelivered:
    """Sends messages that failed in the last 30 days, or since the given time: up to 1,000, oldest first."""
    endpoint_of(services, endpoint_id)
    audit_log = services.open_audit_log(caller)
    start = audit_log.now - REDELIVERY_PERIOD if since is None else since
    return Redelivered(count=redeliver_failed(audit_log, endpoint_id, start))


def view_of_endpoint(services: Services, endpoint: WebhookEndpoint, secret: str | None = None) -> EndpointView:
    """Return an endpoint with its secrets, without their texts."""
    secrets, now = WebhookSecretRepository(services.storage), services.now()
    rows = secrets.list_valid(endpoint.endpoint_id, now)
    return EndpointView.of(endpoint, rows, secret)
