"""The pages of webhook endpoints: create, test, change, disable and remove them, and the log of their messages."""

from typing import Annotated, Any, Final, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.pagination import Page, count_list, format_cursor, parse_cursor
from api.i18n.catalogs import translator
from api.use_cases.administration.group_channels import renew_secret
from api.use_cases.administration.webhook_endpoints import (
    SPARE_S,
    EndpointDraft,
    EndpointTerms,
    add_endpoint,
    change_endpoint,
    endpoint_of,
    fault_of_target,
    redeliver,
    redeliver_failed,
    remove_endpoint,
    send_test,
)
from api.use_cases.run_blocking import run_blocking
from api.web.admin.confirmation import ConfirmedAction, Question, ask_confirmation
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import FormDep, FormFields, id_from_nonce, is_valid_reason, new_nonce
from api.web.list_order import SortedBy
from api.web.rendering import see_other
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.webhooks.cloud_events import FORMATS, MessageFormat
from domain.webhooks.target_url import URL_LENGTH_MAX
from projections.read_models.pagination import NEWEST
from projections.repositories.webhook_deliveries import DeliveryState, WebhookDeliveryRepository
from projections.repositories.webhook_endpoints import CONCURRENCY, EVENT_NAMES, WebhookEndpointRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository

PER_PAGE: Final = 25
BY_CREATION: Final = SortedBy(column="created", default="oldest")
STATES: Final[tuple[DeliveryState, ...]] = get_args(DeliveryState)
NO_EXTRA: Final[dict[str, Any]] = {}

router = APIRouter(prefix="/admin/webhooks", route_class=SupportRoute)


@router.get("")
def list_endpoints(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    by: Annotated[SortedBy, Depends(BY_CREATION.choose)],
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List all endpoints, with the form for a new one."""
    return _render_list(request, admin, staff, FormFields({"concurrency": "1", "format": FORMATS[0]}), [], by, cursor)


@router.post("")
def create_on_page(request: Request, admin: AdminContextDep, staff: AdminWithForm, fields: FormDep) -> Response:
    """Create an endpoint and show its secret once."""
    types, endpoint_id = _check_fields(admin, fields), id_from_nonce(fields.values.get("nonce", ""))
    concurrency = fields.number("concurrency", CONCURRENCY, default=1) or 1
    if fields.errors:
        return _render_list(request, admin, staff, fields, types)
    url = fields.values["url"].strip()
    draft = EndpointDraft(
        endpoint_id=endpoint_id,
        url=url,
        event_types=types,
        concurrency=concurrency,
        message_format=_read_format(fields) or FORMATS[0],
    )
    secret = add_endpoint(admin.services.open_audit_log(staff.caller()), draft)
    return _render_endpoint(request, admin, staff, endpoint_id, {"secret": secret})


@router.get("/{endpoint_id}")
def show_endpoint(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    endpoint_id: UUID,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    state: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """Show one endpoint and its messages."""
    return _render_endpoint(request, admin, staff, endpoint_id, cursor=cursor, state=_parse_state(state))


@router.post("/{endpoint_id}")
def change_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, fields: FormDep, endpoint_id: UUID
) -> Response:
    """Change the URL, the events and the concurrency of an endpoint."""
    types = _check_fields(admin, fields)
    concurrency = fields.number("concurrency", CONCURRENCY, default=1)
    if fields.errors:
        return _render_endpoint(request, admin, staff, endpoint_id, {"fields": fields, "types": types})
    terms = EndpointTerms(
        url=fields.values["url"].strip(),
        event_types=types,
        concurrency=concurrency,
        message_format=_read_format(fields),
    )
    endpoint = endpoint_of(admin.services, endpoint_id)
    change_endpoint(admin.services.open_audit_log(staff.caller()), endpoint, terms)
    return see_other(f"/admin/webhooks/{endpoint_id}")


@router.get("/{endpoint_id}/remove")
def ask_to_remove(request: Request, admin: AdminContextDep, staff: Admin, endpoint_id: UUID) -> Response:
    """Say what a removal does, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, endpoint_id))


@router.post("/{endpoint_id}/remove")
def remove_on_page(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    endpoint_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Remove an endpoint and its log."""
    if not is_valid_reason(reason):
        return ask_confirmation(request, staff, _question(request, admin, endpoint_id), reason)
    remove_endpoint(admin.services.open_audit_log(staff.caller()), endpoint_id, reason.strip())
    return see_other("/admin/webhooks")


def _question(
    request: Request, admin: AdminContext, endpoint_id: UUID, action: ConfirmedAction = "remove_webhook"
) -> Question:
    url, facts = endpoint_of(admin.services, endpoint_id).url, list[tuple[str, str]]()
    if action == "redeliver_failed":
        count = WebhookDeliveryRepository(admin.services.storage).count_failed(endpoint_id)
        facts.append((translator(get_language(request))("page.hooks.to_redeliver"), f"{count:,}"))
    return Question(action, "webhooks", url, f"/admin/webhooks/{endpoint_id}", tuple(facts), is_below_subject=True)


@router.get("/{endpoint_id}/disable")
def ask_to_disable(request: Request, admin: AdminContextDep, staff: Admin, endpoint_id: UUID) -> Response:
    """Say what disabling an endpoint does, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, endpoint_id, "disable_webhook"))


@router.get("/{endpoint_id}/redeliver")
def ask_to_redeliver(request: Request, admin: AdminContextDep, staff: Admin, endpoint_id: UUID) -> Response:
    """Say how many messages are sent again, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, endpoint_id, "redeliver_failed"))


@router.post("/{endpoint_id}/disable")
def disable_on_page(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    endpoint_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Disable an endpoint."""
    if not is_valid_reason(reason):
        return ask_confirmation(request, staff, _question(request, admin, endpoint_id, "disable_webhook"), reason)
    audit_log, endpoint = admin.services.open_audit_log(staff.caller()), endpoint_of(admin.services, endpoint_id)
    change_endpoint(audit_log, endpoint, EndpointTerms(state="disabled"), reason.strip())
    return see_other(f"/admin/webhooks/{endpoint_id}")


@router.post("/{endpoint_id}/redeliver")
def redeliver_failed_on_page(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    endpoint_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Send again what failed."""
    if not is_valid_reason(reason):
        return ask_confirmation(request, staff, _question(request, admin, endpoint_id, "redeliver_failed"), reason)
    audit_log, endpoint = admin.services.open_audit_log(staff.caller()), endpoint_of(admin.services, endpoint_id)
    redeliver_failed(audit_log, endpoint_id, endpoint.created_at, reason.strip())
    return see_other(f"/admin/webhooks/{endpoint_id}#log")


@router.post("/{endpoint_id}/{state}")
async def run_action(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, endpoint_id: UUID, state: str
) -> Response:
    """Enable an endpoint, renew its secret, or send a test."""
    settings = admin.services.settings
    wait_s = settings.webhook_timeout_s + SPARE_S if state == "test" else settings.request_wait_s
    return await run_blocking(wait_s, _run_action, request, admin, staff, endpoint_id, state)


def _run_action(request: Request, admin: AdminContext, staff: Staff, endpoint_id: UUID, state: str) -> Response:
    services, audit_log = admin.services, admin.services.open_audit_log(staff.caller())
    endpoint = endpoint_of(services, endpoint_id)
    if state == "test":
        test_result = send_test(services, admin.preview_sender, endpoint, audit_log, staff.caller())
        return _render_endpoint(request, admin, staff, endpoint_id, {"test": test_result})
    if state == "secret":
        secret = renew_secret(audit_log, endpoint_id, endpoint.url)
        return _render_endpoint(request, admin, staff, endpoint_id, {"secret": secret})
    if state != "enable":
        raise ApplicationError("NOT_FOUND")
    change_endpoint(audit_log, endpoint, EndpointTerms(state="enabled"))
    return see_other(f"/admin/webhooks/{endpoint_id}")


@router.post("/{endpoint_id}/deliveries/{delivery_id}")
def redeliver_on_page(admin: AdminContextDep, staff: AdminWithForm, endpoint_id: UUID, delivery_id: UUID) -> Response:
    """Send one message again."""
    audit_log = admin.services.open_audit_log(staff.caller())
    if not redeliver(audit_log, endpoint_id, delivery_id):
        raise ApplicationError("NOT_FOUND")
    return see_other(f"/admin/webhooks/{endpoint_id}#log")


def _check_fields(admin: AdminContext, fields: FormFields) -> list[str]:
    """Check the URL of a form; return the ticked event types."""
    url = fields.text("url", URL_LENGTH_MAX, is_required=True)
    if "url" not in fields.errors and (error := fault_of_target(url, admin.services.settings)) is not None:
        fields.errors["url"] = f"target.{error}"
    return [name for name in EVENT_NAMES if name in fields.choices.get("types", ())]


def _read_format(fields: FormFields) -> MessageFormat | None:
    """Return the chosen format; None if the form names none that exists."""
    return next((each for each in FORMATS if each == fields.values.get("format")), None)


def _render_list(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    fields: FormFields,
    types: list[str],
    by: SortedBy = BY_CREATION,
    cursor: str | None = None,
) -> Response:
    endpoints = WebhookEndpointRepository(admin.services.storage)
    rows = endpoints.list_page(by.find_place(cursor), PER_PAGE + 1, by.order)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.created_at, row.endpoint_id))
    return admin_page(
        request,
        "webhooks.html",
        staff,
        status=422 if fields.errors else 200,
        by=by,
        endpoints=page.rows,
        total=count_list(admin.services.storage, "webhook_list", page, is_first=cursor is None),
        next=page.next,
        is_first=cursor is None,
        values=fields.values,
        errors=fields.errors,
        types=types,
        event_names=EVENT_NAMES,
        formats=FORMATS,
        nonce=new_nonce(),
        lengths={"url": URL_LENGTH_MAX, "concurrency": CONCURRENCY.most},
    )


def _render_endpoint(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    endpoint_id: UUID,
    extra: dict[str, Any] = NO_EXTRA,
    *,
    cursor: str | None = None,
    state: DeliveryState | None = None,
) -> Response:
    services, storage = admin.services, admin.services.storage
    endpoint, now = endpoint_of(services, endpoint_id), services.now()
    before, deliveries = parse_cursor(cursor, NEWEST), WebhookDeliveryRepository(storage)
    rows = deliveries.list_page(endpoint_id, before, PER_PAGE + 1, state)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.made_at, row.delivery_id))
    fields = extra.get("fields")
    return admin_page(
        request,
        "webhook.html",
        staff,
        status=422 if fields else 200,
        endpoint=endpoint,
        secrets=WebhookSecretRepository(storage).list_valid(endpoint_id, now),
        secret=extra.get("secret"),
        test=extra.get("test"),
        fields=fields.values
        if fields
        else {"url": endpoint.url, "concurrency": str(endpoint.concurrency), "format": endpoint.format},
        errors=fields.errors if fields else {},
        types=extra.get("types", endpoint.event_types),
        event_names=EVENT_NAMES,
        formats=FORMATS,
        deliveries=page.rows,
        next=page.next,
        is_first=cursor is None,
        state=state,
        states=STATES,
        now=now,
        lengths={"url": URL_LENGTH_MAX, "concurrency": CONCURRENCY.most},
    )


def _parse_state(text: str) -> DeliveryState | None:
    return next((state for state in STATES if state == text), None)
