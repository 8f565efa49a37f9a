"""Keys of integrators: made here, shown once, revoked here."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from api.auth.scopes import SCOPES, Role
from api.errors import ApplicationError
from api.http.pagination import LATEST, cursor_of, place_of
from api.use_cases.administration.create_api_key import SCOPED, ApiKeyRequest, create_api_key, revoke_key
from api.web.admin.context import AdminContext, AdminContextDep
from api.web.admin.forms import NAME_LENGTH_MAX, FormFields, admin_page, id_from_nonce, new_form_nonce, see_other
from api.web.staff_auth.sessions import Admin, AdminWithForm, Staff, SupportRoute
from domain.values.number_bounds import DAYS

PER_PAGE: Final = 25
ROLES: Final[tuple[Role, ...]] = get_args(Role)

router = APIRouter(prefix="/admin/keys", route_class=SupportRoute)


@router.get("")
async def list_keys(
    request: Request, admin: AdminContextDep, staff: Admin, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    """All keys, newest first, and the form for a new one."""
    return await _render(request, admin, staff, FormFields({"role": "viewer"}), cursor=cursor)


@router.post("")
async def create_key(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
    scope: Annotated[list[str] | None, Form()] = None,
    days: Annotated[str, Form()] = "",
    nonce: Annotated[str, Form()] = "",
) -> Response:
    """Make a key and show its secret, this once: it is kept as a digest only."""
    fields = FormFields({"name": name, "role": role, "days": days})
    label, valid_days = fields.text("name", NAME_LENGTH_MAX, is_required=True), fields.number("days", DAYS)
    key_id, selected = id_from_nonce(nonce), [name for name in SCOPES if name in (scope or ())]
    if key_id is None or role not in {*ROLES, SCOPED}:
        raise ApplicationError("MALFORMED")
    if role == SCOPED and not selected:
        fields.errors["scopes"] = "missing"
    if fields.errors:
        return await _render(request, admin, staff, fields, selected=selected)
    services, action = admin.services, admin.services.action(staff.caller(None))
    key_request = ApiKeyRequest(label, next((name for name in ROLES if name == role), None), selected, valid_days)
    secret = await services.read(lambda: create_api_key(action, key_request, key_id))
    new_key = {"name": label, "secret": secret}
    return await _render(request, admin, staff, FormFields({"role": "viewer"}), new_key=new_key)


@router.post("/{key_id}/revoke")
async def revoke_on_page(admin: AdminContextDep, staff: AdminWithForm, key_id: UUID) -> Response:
    """From now on the key opens nothing."""
    action = admin.services.action(staff.caller(None))
    await admin.services.read(lambda: revoke_key(action, key_id))
    return see_other("/admin/keys")


async def _render(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    fields: FormFields,
    *,
    cursor: str | None = None,
    new_key: dict[str, Any] | None = None,
    selected: Sequence[str] = (),
) -> Response:
    before = LATEST if cursor is None else place_of(cursor)
    rows = await admin.services.read(lambda: admin.keys.list_page(before, PER_PAGE + 1))
    page = rows[:PER_PAGE]
    return admin_page(
        request,
        "keys.html",
        staff,
        status=422 if fields.errors else 200,
        keys=page,
        next=cursor_of(page[-1].created_at, page[-1].key_id) if len(rows) > PER_PAGE else None,
        is_first=cursor is None,
        now=admin.services.now(),
        new_key=new_key,
        values=fields.values,
        errors=fields.errors,
        nonce=new_form_nonce(),
        roles=(*ROLES, SCOPED),
        scopes=SCOPES,
        selected=selected,
        days_max=DAYS.most,
    )
