"""The list of API keys, with the form for a new one, whose secret is shown once."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from api.auth.scopes import SCOPES
from api.errors import ApplicationError
from api.http.pagination import Page, count_list, format_cursor
from api.use_cases.administration.create_api_key import SCOPED, ApiKeyRequest, create_api_key
from api.web.admin.api_keys.key_form import ENDS, read_end, read_networks
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import NAME_LENGTH_MAX, FormDep, FormFields, id_from_nonce, new_nonce
from api.web.list_order import SortedBy
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
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
def create_key(request: Request, admin: AdminContextDep, staff: AdminWithForm, fields: FormDep) -> Response:
    """Create a key and show its secret. Only a digest is stored, so no later page can show it."""
    audit_log = admin.services.open_audit_log(staff.caller())
    role, ticked = fields.values.get("role", ""), fields.choices.get("scope", [])
    key_id, selected = id_from_nonce(fields.values.get("nonce", "")), [name for name in SCOPES if name in ticked]
    name = fields.text("name", NAME_LENGTH_MAX, is_required=True)
    expires_at, networks = read_end(fields, audit_log.now), read_networks(fields)
    if role not in {*ROLES, SCOPED}:
        raise ApplicationError("MALFORMED")
    if role == SCOPED and not selected:
        fields.errors["scopes"] = "missing"
    if role != SCOPED and selected:
        fields.errors["scopes"] = "role_and_scopes"
    if fields.errors:
        return _render(request, admin, staff, fields, selected=selected)
    known_role = next((each for each in ROLES if each == role), None)
    secret = create_api_key(audit_log, ApiKeyRequest(name, known_role, selected, expires_at, networks), key_id)
    new_key = {"name": name, "secret": secret}
    return _render(request, admin, staff, FormFields({"role": "viewer"}), new_key=new_key)


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
        ends=ENDS,
    )
