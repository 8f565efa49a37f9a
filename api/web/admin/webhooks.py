"""Webhook endpoints on pages: making one, its secret shown once, testing, disabling, and the log of its messages."""

from typing import Annotated, Any, Final, get_args
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.pagination import FIRST, LATEST, cursor_of, place_of
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
from api.use_cases.administration.webhooks import SPARE_S, endpoint_of, fault_of_target, send_test
from api.use_cases.run_blocking import run_blocking
from api.web.admin.context import Office, TheOffice
from api.web.admin.forms import Fields, admin_page, gone_to, id_from_nonce, new_nonce
from api.web.staff_auth.sessions import ActingAdmin, Admin, Staff, SupportRoute
from domain.webhooks.target_url import URL_LENGTH_MAX
from projections.repositories.webhook_deliveries import DeliveryState, WebhookDeliveryRepository
from projections.repositories.webhook_endpoints import CONCURRENCY, EVENT_NAMES, WebhookEndpointRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository

PER_PAGE: Final = 25
STATES: Final[tuple[DeliveryState, ...]] = get_args(DeliveryState)
NOTHING: Final[dict[str, Any]] = {}

router = APIRouter(prefix="/admin/webhooks", route_class=SupportRoute)


@router.get("")
async def hooks(
    request: Request, office: TheOffice, staff: Admin, cursor: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """All endpoints, and the form for a new one."""
    return await _index(request, office, staff, Fields({"concurrency": "1"}), [], cursor)


@router.post("")
async def make_hook(request: Request, office: TheOffice, staff: ActingAdmin) -> Response:
    """Make an endpoint and show its secret, this once."""
    fields, types = await _read(request, office)
    endpoint_id = id_from_nonce(fields.sent.get("nonce", ""))
    if endpoint_id is None:
        raise ApplicationError("MALFORMED")
    hands = fields.number("concurrency", CONCURRENCY, default=1) or 1
    if fields.faults:
        return await _index(request, office, staff, fields, types, None)
    services, url = office.services, fields.sent["url"].strip()
    draft = EndpointDraft(endpoint_id=endpoint_id, url=url, event_types=types, concurrency=hands)
    action = services.action(staff.caller(None))
    secret = await services.read(lambda: add_endpoint(action, draft))
    return await _one(request, office, staff, endpoint_id, {"secret": secret})


@router.get("/{endpoint_id}")
async def hook(
    request: Request,
    office: TheOffice,
    staff: Admin,
    endpoint_id: UUID,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    state: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """One endpoint and its messages."""
    return await _one(request, office, staff, endpoint_id, cursor=cursor, state=_state(state))


@router.post("/{endpoint_id}")
async def change_hook(request: Request, office: TheOffice, staff: ActingAdmin, endpoint_id: UUID) -> Response:
    """Change address, events and how many at once."""
    fields, types = await _read(request, office)
    hands = fields.number("concurrency", CONCURRENCY, default=1)
    if fields.faults:
        return await _one(request, office, staff, endpoint_id, {"fields": fields, "types": types})
    terms = EndpointTerms(url=fields.sent["url"].strip(), event_types=types, concurrency=hands)
    action, before = (
        office.services.action(staff.caller(None)),
        await office.services.run_blocking(endpoint_of, office.services, endpoint_id),
    )
    await office.services.read(lambda: change_endpoint(action, before, terms))
    return gone_to(f"/admin/webhooks/{endpoint_id}")


@router.post("/{endpoint_id}/{state}")
async def act_on_hook(
    request: Request, office: TheOffice, staff: ActingAdmin, endpoint_id: UUID, state: str
) -> Response:
    """Enable, disable or remove it; a new secret; a test; what failed once more."""
    services, action = office.services, office.services.action(staff.caller(None))
    found = await services.run_blocking(endpoint_of, services, endpoint_id)
    if state == "test":
        sent = await run_blocking(
            services.settings.webhook_timeout_s + SPARE_S, send_test, services, office.post, found, action
        )
        return await _one(request, office, staff, endpoint_id, {"sent": sent})
    if state == "secret":
        secret = await services.read(lambda: renew_secret(action, endpoint_id, found.url))
        return await _one(request, office, staff, endpoint_id, {"secret": secret})
    if state == "redeliver":
        since = found.created_at
        await services.read(lambda: redeliver_failed(action, endpoint_id, since))
        return gone_to(f"/admin/webhooks/{endpoint_id}#log")
    if state == "remove":
        await services.read(lambda: remove_endpoint(action, endpoint_id))
        return gone_to("/admin/webhooks")
    if state not in {"enable", "disable"}:
        raise ApplicationError("NOT_FOUND")
    terms = EndpointTerms(state="enabled" if state == "enable" else "disabled")
    await services.read(lambda: change_endpoint(action, found, terms))
    return gone_to(f"/admin/webhooks/{endpoint_id}")


@router.post("/{endpoint_id}/deliveries/{delivery_id}")
async def redeliver_on_page(office: TheOffice, staff: ActingAdmin, endpoint_id: UUID, delivery_id: UUID) -> Response:
    """Send one message once more."""
    action = office.services.action(staff.caller(None))
    if not await office.services.read(lambda: redeliver(action, endpoint_id, delivery_id)):
        raise ApplicationError("NOT_FOUND")
    return gone_to(f"/admin/webhooks/{endpoint_id}#log")


async def _read(request: Request, office: Office) -> tuple[Fields, list[str]]:
    """A form's fields, and the events that are ticked."""
    form = await request.form()
    fields = Fields({key: value for key, value in form.items() if isinstance(value, str)})
    url = fields.text("url", URL_LENGTH_MAX, is_needed=True)
    if "url" not in fields.faults and (fault := fault_of_target(url, office.services.settings)) is not None:
        fields.faults["url"] = f"target.{fault}"
    ticked = set(form.getlist("types"))
    return fields, [name for name in EVENT_NAMES if name in ticked]


async def _index(
    request: Request, office: Office, staff: Staff, fields: Fields, types: list[str], cursor: str | None
) -> Response:
    endpoints, after = WebhookEndpointRepository(office.services.storage), FIRST if cursor is None else place_of(cursor)
    found = await office.services.read(lambda: endpoints.list_page(after, PER_PAGE + 1))
    page = found[:PER_PAGE]
    return admin_page(
        request,
        "webhooks.html",
        staff,
        status=422 if fields.faults else 200,
        endpoints=page,
        next=cursor_of(page[-1].created_at, page[-1].endpoint_id) if len(found) > PER_PAGE else None,
        is_first=cursor is None,
        sent=fields.sent,
        faults=fields.faults,
        types=types,
        names=EVENT_NAMES,
        nonce=new_nonce(),
        lengths={"url": URL_LENGTH_MAX, "hands": CONCURRENCY.most},
    )


async def _one(
    request: Request,
    office: Office,
    staff: Staff,
    endpoint_id: UUID,
    said: dict[str, Any] = NOTHING,
    *,
    cursor: str | None = None,
    state: DeliveryState | None = None,
) -> Response:
    services, storage = office.services, office.services.storage
    endpoint, now = await services.run_blocking(endpoint_of, services, endpoint_id), services.now()
    before, deliveries = LATEST if cursor is None else place_of(cursor), WebhookDeliveryRepository(storage)
    found = await services.read(lambda: deliveries.list_page(endpoint_id, before, PER_PAGE + 1, state))
    page, fields = found[:PER_PAGE], said.get("fields")
    return admin_page(
        request,
        "webhook.html",
        staff,
        status=422 if fields else 200,
        endpoint=endpoint,
        secrets=await services.read(lambda: WebhookSecretRepository(storage).list_valid(endpoint_id, now)),
        secret=said.get("secret"),
        sent=said.get("sent"),
        fields=fields.sent if fields else {"url": endpoint.url, "concurrency": str(endpoint.concurrency)},
        faults=fields.faults if fields else {},
        types=said.get("types", endpoint.event_types),
        names=EVENT_NAMES,
        deliveries=page,
        next=cursor_of(page[-1].made_at, page[-1].delivery_id) if len(found) > PER_PAGE else None,
        is_first=cursor is None,
        state=state,
        states=STATES,
        now=now,
        lengths={"url": URL_LENGTH_MAX, "hands": CONCURRENCY.most},
    )


def _state(text: str) -> DeliveryState | None:
    return next((state for state in STATES if state == text), None)
