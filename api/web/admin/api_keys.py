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
from api.web.admin.context import Office, TheOffice
from api.web.admin.forms import NAME_LENGTH_MAX, Fields, admin_page, gone_to, id_from_nonce, new_nonce
from api.web.staff_auth.sessions import ActingAdmin, Admin, Staff, SupportRoute
from domain.values.number_bounds import DAYS

PER_PAGE: Final = 25
ROLES: Final[tuple[Role, ...]] = get_args(Role)

router = APIRouter(prefix="/admin/keys", route_class=SupportRoute)


@router.get("")
async def keys(
    request: Request, office: TheOffice, staff: Admin, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    """All keys, newest first, and the form for a new one."""
    return await _page(request, office, staff, Fields({"role": "viewer"}), cursor=cursor)


@router.post("")
async def make(
    request: Request,
    office: TheOffice,
    staff: ActingAdmin,
    name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
    scope: Annotated[list[str] | None, Form()] = None,
    days: Annotated[str, Form()] = "",
    nonce: Annotated[str, Form()] = "",
) -> Response:
    """Make a key and show its secret, this once: it is kept as a digest only."""
    fields = Fields({"name": name, "role": role, "days": days})
    shown, lasts = fields.text("name", NAME_LENGTH_MAX, is_needed=True), fields.number("days", DAYS)
    key_id, chosen = id_from_nonce(nonce), [known for known in SCOPES if known in (scope or ())]
    if key_id is None or role not in {*ROLES, SCOPED}:
        raise ApplicationError("MALFORMED")
    if role == SCOPED and not chosen:
        fields.faults["scopes"] = "missing"
    if fields.faults:
        return await _page(request, office, staff, fields, chosen=chosen)
    services, action = office.services, office.services.action(staff.caller(None))
    wish = ApiKeyRequest(shown, next((known for known in ROLES if known == role), None), chosen, lasts)
    secret = await services.read(lambda: create_api_key(action, wish, key_id))
    made = {"name": shown, "secret": secret}
    return await _page(request, office, staff, Fields({"role": "viewer"}), made=made)


@router.post("/{key_id}/revoke")
async def revoke(office: TheOffice, staff: ActingAdmin, key_id: UUID) -> Response:
    """From now on the key opens nothing."""
    action = office.services.action(staff.caller(None))
    await office.services.read(lambda: revoke_key(action, key_id))
    return gone_to("/admin/keys")


async def _page(
    request: Request,
    office: Office,
    staff: Staff,
    fields: Fields,
    *,
    cursor: str | None = None,
    made: dict[str, Any] | None = None,
    chosen: Sequence[str] = (),
) -> Response:
    before = LATEST if cursor is None else place_of(cursor)
    found = await office.services.read(lambda: office.keys.list_page(before, PER_PAGE + 1))
    page = found[:PER_PAGE]
    return admin_page(
        request,
        "keys.html",
        staff,
        status=422 if fields.faults else 200,
        keys=page,
        next=cursor_of(page[-1].created_at, page[-1].key_id) if len(found) > PER_PAGE else None,
        is_first=cursor is None,
        now=office.services.now(),
        made=made,
        sent=fields.sent,
        faults=fields.faults,
        nonce=new_nonce(),
        roles=(*ROLES, SCOPED),
        scopes=SCOPES,
        chosen=chosen,
        days_max=DAYS.most,
    )
