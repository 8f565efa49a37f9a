"""Staff: taking somebody on, changing a role, a new password, and closing an account."""

import secrets
from collections.abc import Callable
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.pagination import FIRST, cursor_of, place_of
from api.use_cases.administration.staff_accounts import add_staff, remove_staff, set_new_password, set_staff_role
from api.web.admin.api_keys import ROLES
from api.web.admin.context import AdminContext, AdminContextDep
from api.web.admin.forms import FormFields, admin_page, see_other
from api.web.staff_auth.sessions import Admin, AdminWithForm, Staff, SupportRoute
from domain.values.identifiers import TYPED_LENGTH_MAX, EmailAddress, MalformedEmailError
from projections.repositories.staff_accounts import LastAdminError

PER_PAGE: Final = 50
PASSWORD_BYTES: Final = 15
"""120 bits; 20 letters that are typed once and then changed."""

router = APIRouter(prefix="/admin/staff", route_class=SupportRoute)


@router.get("")
async def list_staff(
    request: Request, admin: AdminContextDep, staff: Admin, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    """Who is on the staff, and the form to take somebody on."""
    return await _render(request, admin, staff, FormFields({"role": "support"}), cursor=cursor)


@router.post("")
async def add_on_page(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    email: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
) -> Response:
    """Take somebody on, and show the password that they begin with, this once."""
    fields = FormFields({"email": email[:TYPED_LENGTH_MAX], "role": role})
    if role not in ROLES:
        raise ApplicationError("MALFORMED")
    try:
        address = EmailAddress.parse(email)
    except MalformedEmailError:
        fields.errors["email"] = "email"
        return await _render(request, admin, staff, fields)
    services, password = admin.services, secrets.token_urlsafe(PASSWORD_BYTES)
    draft = services.storage.vault.draft_staff(address, services.new_id())
    password_hash = await admin.support.hash_password(password)
    action = services.action(staff.caller(None))
    staff_id = await services.read(lambda: add_staff(action, draft, password_hash, role))
    if staff_id is None:
        fields.errors["email"] = "on_staff"
        return await _render(request, admin, staff, fields)
    return await _render(request, admin, staff, FormFields({"role": "support"}), new_password=(address.typed, password))


@router.post("/{staff_id}/password")
async def reset_password(request: Request, admin: AdminContextDep, staff: AdminWithForm, staff_id: UUID) -> Response:
    """A new password, shown this once; all sessions of the old one end."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    password_hash = await admin.support.hash_password(password)
    action = admin.services.action(staff.caller(None))
    if not await admin.services.read(lambda: set_new_password(action, staff_id, password_hash)):
        raise ApplicationError("NOT_FOUND")
    addresses = await admin.services.read(lambda: admin.support.sessions.find_email_addresses([staff_id]))
    new_password = (addresses.get(staff_id, ""), password)
    return await _render(request, admin, staff, FormFields({"role": "support"}), new_password=new_password)


@router.post("/{staff_id}/role")
async def change_role(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, staff_id: UUID, role: Annotated[str, Form()] = ""
) -> Response:
    """Another role, from the next click on."""
    if role not in ROLES:
        raise ApplicationError("MALFORMED")
    action = admin.services.action(staff.caller(None))
    return await _change_account(request, admin, staff, lambda: set_staff_role(action, staff_id, role))


@router.post("/{staff_id}/remove")
async def remove_on_page(request: Request, admin: AdminContextDep, staff: AdminWithForm, staff_id: UUID) -> Response:
    """Close the account; what they did stays under their name."""
    action = admin.services.action(staff.caller(None))
    return await _change_account(request, admin, staff, lambda: remove_staff(action, staff_id))


async def _change_account(request: Request, admin: AdminContext, staff: Staff, change: Callable[[], bool]) -> Response:
    """Change an account and go back to the list; the last admin stays one."""
    try:
        was_changed = await admin.services.read(change)
    except LastAdminError:
        return await _render(request, admin, staff, FormFields({"role": "support"}, {"people": "last_admin"}))
    if not was_changed:
        raise ApplicationError("NOT_FOUND")
    return see_other("/admin/staff")


async def _render(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    fields: FormFields,
    *,
    cursor: str | None = None,
    new_password: tuple[str, str] | None = None,
) -> Response:
    after = FIRST if cursor is None else place_of(cursor)

    def load() -> dict[str, Any]:
        rows = admin.accounts.list_page(after, PER_PAGE + 1)
        page = rows[:PER_PAGE]
        next_cursor = cursor_of(page[-1].created_at, page[-1].staff_id) if len(rows) > PER_PAGE else None
        return {"accounts": page, "next": next_cursor}

    return admin_page(
        request,
        "staff.html",
        staff,
        status=422 if fields.errors else 200,
        is_first=cursor is None,
        new_password=new_password,
        values=fields.values,
        errors=fields.errors,
        roles=ROLES,
        typed_length_max=TYPED_LENGTH_MAX,
        **await admin.services.read(load),
    )
