"""The pages of API keys: create one, see its secret once, revoke it."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from api.auth.scopes import SCOPES
from api.errors import ApplicationError
from api.http.pagination import Page, count_list, format_cursor
from api.i18n.catalogs import translator
from api.use_cases.administration.create_api_key import SCOPED, ApiKeyRequest, create_api_key, revoke_key
from api.web.admin.confirmation import Question, ask_confirmation
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import NAME_LENGTH_MAX, FormFields, id_from_nonce, is_valid_reason, new_nonce
from api.web.list_order import SortedBy
from api.web.rendering import see_other
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.values.number_bounds import DAYS
from domain.values.timestamps import text_of
from projections.config.staff_roles import Role

PER_PAGE: Final = 25
BY_CREATION: Final = SortedBy(column="created", default="newest")
ROLES: Final[tuple[Role, ...]] = get_args(Role)

router = APIRouter(prefix="/admin/keys", route_class=SupportRoute)


@router.get("")
def list_keys(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    by: Annotated[SortedBy, Depends(BY_CREATION.choose)],
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """List all keys by the time of their creation, with the form for a new one."""
    return _render(request, admin, staff, FormFields({"role": "viewer"}), by=by, cursor=cursor)


@router.post("")
def create_key(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
    scope: Annotated[list[str] | None, Form()] = None,
    days: Annotated[str, Form()] = "",
    nonce: Annotated[str, Form()] = "",
) -> Response:
    """Create a key and show its secret. Only a digest is stored, so no later page can show it."""
    fields = FormFields({"name": name, "role": role, "days": days})
    label, valid_days = fields.text("name", NAME_LENGTH_MAX, is_required=True), fields.number("days", DAYS)
    key_id, selected = id_from_nonce(nonce), [name for name in SCOPES if name in (scope or ())]
    if role not in {*ROLES, SCOPED}:
        raise ApplicationError("MALFORMED")
    if role == SCOPED and not selected:
        fields.errors["scopes"] = "missing"
    if role != SCOPED and selected:
        fields.errors["scopes"] = "role_and_scopes"
    if fields.errors:
        return _render(request, admin, staff, fields, selected=selected)
    audit_log = admin.services.open_audit_log(staff.caller())
    key_request = ApiKeyRequest(label, next((each for each in ROLES if each == role), None), selected, valid_days)
    secret = create_api_key(audit_log, key_request, key_id)
    new_key = {"name": label, "secret": secret}
    return _render(request, admin, staff, FormFields({"role": "viewer"}), new_key=new_key)


@router.get("/{key_id}/revoke")
def ask_to_revoke(request: Request, admin: AdminContextDep, staff: Admin, key_id: UUID) -> Response:
    """Say what a revocation does, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, key_id))


@router.post("/{key_id}/revoke")
def revoke_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, key_id: UUID, reason: Annotated[str, Form()] = ""
) -> Response:
    """Revoke a key: requests with it are refused from now on."""
    if not is_valid_reason(reason):
        return ask_confirmation(request, staff, _question(request, admin, key_id), reason)
    revoke_key(admin.services.open_audit_log(staff.caller()), key_id, reason.strip())
    return see_other("/admin/keys")


def _question(request: Request, admin: AdminContext, key_id: UUID) -> Question:
    key, t = admin.keys.find(key_id), translator(get_language(request))
    if key is None:
        raise ApplicationError("NOT_FOUND")
    rights = t(f"page.support.role.{key.role}") if key.scopes is None else ", ".join(key.scopes)
    facts = (
        (t("page.admin.field.role"), rights),
        (t("page.admin.keys.created"), text_of(key.created_at)),
    )
    return Question("revoke_key", "keys", key.name or str(key_id), "/admin/keys", facts)


def _render(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    fields: FormFields,
    *,
    by: SortedBy = BY_CREATION,
    cursor: str | None = None,
    new_key: dict[str, Any] | None = None,
    selected: Sequence[str] = (),
) -> Response:
    rows = admin.keys.list_page(by.find_place(cursor), PER_PAGE + 1, by.order)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.created_at, row.key_id))
    return admin_page(
        request,
        "api_keys.html",
        staff,
        status=422 if fields.errors else 200,
        by=by,
        keys=page.rows,
        total=count_list(admin.services.storage, "key_list", page, is_first=cursor is None),
        next=page.next,
        is_first=cursor is None,
        now=admin.services.now(),
        new_key=new_key,
        values=fields.values,
        errors=fields.errors,
        nonce=new_nonce(),
        roles=(*ROLES, SCOPED),
        scopes=SCOPES,
        selected=selected,
        days_max=DAYS.most,
    )
