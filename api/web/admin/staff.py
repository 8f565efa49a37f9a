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
from api.web.admin.context import Office, TheOffice
from api.web.admin.forms import Fields, admin_page, gone_to
from api.web.staff_auth.sessions import ActingAdmin, Admin, Staff, SupportRoute
from domain.values.identifiers import TYPED_LENGTH_MAX, EmailAddress, MalformedEmailError
from projections.repositories.staff_accounts import LastAdminError

PER_PAGE: Final = 50
PASSWORD_BYTES: Final = 15
"""120 bits; 20 letters that are typed once and then changed."""

router = APIRouter(prefix="/admin/staff", route_class=SupportRoute)


@router.get("")
async def people(
    request: Request, office: TheOffice, staff: Admin, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    """Who is on the staff, and the form to take somebody on."""
    return await _page(request, office, staff, Fields({"role": "support"}), cursor=cursor)


@router.post("")
async def add(
    request: Request,
    office: TheOffice,
    staff: ActingAdmin,
    email: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
) -> Response:
    """Take somebody on, and show the password that they begin with, this once."""
    fields = Fields({"email": email[:TYPED_LENGTH_MAX], "role": role})
    if role not in ROLES:
        raise ApplicationError("MALFORMED")
    try:
        address = EmailAddress.parse(email)
    except MalformedEmailError:
        fields.faults["email"] = "email"
        return await _page(request, office, staff, fields)
    services, password = office.services, secrets.token_urlsafe(PASSWORD_BYTES)
    draft = services.storage.vault.draft_staff(address, services.new_id())
    password_hash = await office.desk.hash_of(password)
    action = services.action(staff.caller(None))
    staff_id = await services.read(lambda: add_staff(action, draft, password_hash, role))
    if staff_id is None:
        fields.faults["email"] = "on_staff"
        return await _page(request, office, staff, fields)
    return await _page(request, office, staff, Fields({"role": "support"}), made=(address.typed, password))


@router.post("/{staff_id}/password")
async def reset_password(request: Request, office: TheOffice, staff: ActingAdmin, staff_id: UUID) -> Response:
    """A new password, shown this once; all sessions of the old one end."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    password_hash = await office.desk.hash_of(password)
    action = office.services.action(staff.caller(None))
    if not await office.services.read(lambda: set_new_password(action, staff_id, password_hash)):
        raise ApplicationError("NOT_FOUND")
    people = await office.services.read(lambda: office.desk.staff.find_email_addresses([staff_id]))
    made = (people.get(staff_id, ""), password)
    return await _page(request, office, staff, Fields({"role": "support"}), made=made)


@router.post("/{staff_id}/role")
async def change_role(
    request: Request, office: TheOffice, staff: ActingAdmin, staff_id: UUID, role: Annotated[str, Form()] = ""
) -> Response:
    """Another role, from the next click on."""
    if role not in ROLES:
        raise ApplicationError("MALFORMED")
    action = office.services.action(staff.caller(None))
    return await _changed(request, office, staff, lambda: set_staff_role(action, staff_id, role))


@router.post("/{staff_id}/remove")
async def remove(request: Request, office: TheOffice, staff: ActingAdmin, staff_id: UUID) -> Response:
    """Close the account; what they did stays under their name."""
    action = office.services.action(staff.caller(None))
    return await _changed(request, office, staff, lambda: remove_staff(action, staff_id))


async def _changed(request: Request, office: Office, staff: Staff, change: Callable[[], bool]) -> Response:
    """Change an account and go back to the list; the last admin stays one."""
    try:
        is_done = await office.services.read(change)
    except LastAdminError:
        return await _page(request, office, staff, Fields({"role": "support"}, {"people": "last_admin"}))
    if not is_done:
        raise ApplicationError("NOT_FOUND")
    return gone_to("/admin/staff")


async def _page(
    request: Request,
    office: Office,
    staff: Staff,
    fields: Fields,
    *,
    cursor: str | None = None,
    made: tuple[str, str] | None = None,
) -> Response:
    after = FIRST if cursor is None else place_of(cursor)

    def find() -> dict[str, Any]:
        found = office.accounts.list_page(after, PER_PAGE + 1)
        page = found[:PER_PAGE]
        more = cursor_of(page[-1].created_at, page[-1].staff_id) if len(found) > PER_PAGE else None
        return {"people": page, "next": more}

    return admin_page(
        request,
        "staff.html",
        staff,
        status=422 if fields.faults else 200,
        is_first=cursor is None,
        made=made,
        sent=fields.sent,
        faults=fields.faults,
        roles=ROLES,
        typed_length_max=TYPED_LENGTH_MAX,
        **await office.services.read(find),
    )
