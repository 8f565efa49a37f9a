"""Webhook endpoints over HTTP: who is told of which events, what became of each message, and telling once more."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import Admin, TheServices
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
    EndpointDraft,
    EndpointTerms,
    add_endpoint,
    change_endpoint,
    redeliver,
    redeliver_failed,
    remove_endpoint,
)
from api.use_cases.administration.webhooks import SPARE_S, HookPost, checked_target, endpoint_of, send_test
from api.use_cases.run_blocking import run_blocking
from api.use_cases.services import Services
from projections.read_models.pagination import NEWEST
from projections.repositories.webhook_deliveries import DeliveryState, WebhookDeliveryRepository
from projections.repositories.webhook_endpoints import WebhookEndpoint, WebhookEndpointRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository

PER_PAGE = 100
REDELIVERY_PERIOD = timedelta(days=30)

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/webhooks",
    tags=["webhooks"],
    responses={**PROTECTED, **problem_responses("NOT_FOUND", "MALFORMED", "TARGET_REFUSED")},
)


async def _hook_post(request: Request) -> HookPost:
    post: HookPost = request.app.state.hook_post
    return post


TheHookPost = Annotated[HookPost, Depends(_hook_post)]


@router.post("", status_code=201, summary="Make an endpoint")
def make_webhook(body: EndpointRequest, services: TheServices, caller: Admin) -> EndpointView:
    """The answer holds its secret, this once."""
    draft = EndpointDraft(
        endpoint_id=services.new_id(),
        url=checked_target(body.url, services.settings),
        event_types=body.event_types,
        concurrency=body.concurrency,
        position=body.from_position,
    )
    action = services.action(caller)
    secret = add_endpoint(action, draft)
    return view_of_endpoint(services, endpoint_of(services, draft.endpoint_id), secret)


@router.get("", summary="All endpoints")
def list_webhooks(
    services: TheServices, _: Admin, cursor: Annotated[str | None, Query(max_length=200)] = None
) -> EndpointPage:
    """Oldest first."""
    endpoints, after = WebhookEndpointRepository(services.storage), parse_cursor(cursor)
    rows = endpoints.list_page(after, PER_PAGE + 1)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.created_at, row.endpoint_id))
    return EndpointPage(webhooks=[view_of_endpoint(services, one) for one in page.rows], next=page.next)


@router.get("/{endpoint_id}", summary="One endpoint")
def get_webhook(endpoint_id: UUID, services: TheServices, _: Admin) -> EndpointView:
    """How it stands."""
    return view_of_endpoint(services, endpoint_of(services, endpoint_id))


@router.patch("/{endpoint_id}", summary="Change, disable or enable an endpoint")
def change_webhook(endpoint_id: UUID, body: EndpointChange, services: TheServices, caller: Admin) -> EndpointView:
    """Of a disabled one the log waits; enabled, it is told of everything since."""
    terms = EndpointTerms(
        url=None if body.url is None else checked_target(body.url, services.settings),
        event_types=body.event_types,
        concurrency=body.concurrency,
        state=body.state,
    )
    action, before = services.action(caller), endpoint_of(services, endpoint_id)
    change_endpoint(action, before, terms)
    return view_of_endpoint(services, endpoint_of(services, endpoint_id))


@router.delete("/{endpoint_id}", status_code=204, summary="Remove an endpoint")
def remove_webhook(endpoint_id: UUID, services: TheServices, caller: Admin) -> Response:
    """For good; its log goes with it."""
    action = services.action(caller)
    if not remove_endpoint(action, endpoint_id):
        raise ApplicationError("NOT_FOUND")
    return Response(status_code=204)


@router.post("/{endpoint_id}/rotate-secret", summary="Make a new secret for an endpoint")
def rotate_webhook_secret(endpoint_id: UUID, services: TheServices, caller: Admin) -> EndpointView:
    """Shown this once. For 24 hours messages are signed with the one before it too."""
    endpoint, action = endpoint_of(services, endpoint_id), services.action(caller)
    secret = renew_secret(action, endpoint_id, endpoint.url)
    return view_of_endpoint(services, endpoint, secret)


@router.post("/{endpoint_id}/test", summary="Send an endpoint a test")
async def send_webhook_test(endpoint_id: UUID, services: TheServices, post: TheHookPost, caller: Admin) -> TestOutcome:
    """A message of the type `webhook.test`, now and once, also to a disabled one; it is in the log."""
    endpoint, action = await services.run_blocking(endpoint_of, services, endpoint_id), services.action(caller)
    sent = await run_blocking(
        services.settings.webhook_timeout_s + SPARE_S, send_test, services, post, endpoint, action
    )
    return TestOutcome(taken=sent.is_delivered, outcome=sent.outcome, status=sent.status, ms=sent.ms)


@router.get("/{endpoint_id}/deliveries", summary="What became of an endpoint's messages")
def list_webhook_deliveries(
    endpoint_id: UUID,
    services: TheServices,
    _: Admin,
    state: DeliveryState | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> DeliveryPage:
    """Newest first; those that were taken are kept for 7 days, those that failed for 30."""
    endpoint_of(services, endpoint_id)
    deliveries, before = WebhookDeliveryRepository(services.storage), parse_cursor(cursor, NEWEST)
    rows = deliveries.list_page(endpoint_id, before, PER_PAGE + 1, state)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.made_at, row.delivery_id))
    return DeliveryPage(deliveries=[DeliveryView.of(one) for one in page.rows], next=page.next)


@router.post("/{endpoint_id}/deliveries/{delivery_id}/redeliver", summary="Send one message once more")
def redeliver_one(endpoint_id: UUID, delivery_id: UUID, services: TheServices, caller: Admin) -> Redelivered:
    """With the same id; also one that was taken. A disabled endpoint is enabled first."""
    action = services.action(caller)
    if not redeliver(action, endpoint_id, delivery_id):
        raise ApplicationError("NOT_FOUND")
    return Redelivered(count=1)


@router.post("/{endpoint_id}/redeliver-failed", summary="Send those once more that failed for good")
def redeliver_all_failed(
    endpoint_id: UUID, services: TheServices, caller: Admin, since: Timestamp | None = None
) -> Redelivered:
    """Of the last 30 days, or since a moment; 1,000 at most, the oldest first."""
    endpoint_of(services, endpoint_id)
    action = services.action(caller)
    start = action.now - REDELIVERY_PERIOD if since is None else since
    return Redelivered(count=redeliver_failed(action, endpoint_id, start))


def view_of_endpoint(services: Services, endpoint: WebhookEndpoint, secret: str | None = None) -> EndpointView:
    """An endpoint with what is known of its secrets."""
    secrets, now = WebhookSecretRepository(services.storage), services.now()
    rows = secrets.list_valid(endpoint.endpoint_id, now)
    return EndpointView.of(endpoint, rows, secret)
