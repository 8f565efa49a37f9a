"""Staff: taking somebody on, changing a role, a new password, and closing an account."""

import secrets
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from api.admin.keys import ROLES
from api.admin.office import Office, TheOffice
from api.admin.rendering import Fields, admin_page, gone_to
from api.paging import FIRST, cursor_of, place_of
from api.problems import ProblemError
from api.support.access import ActingAdmin, Admin, Staff, SupportRoute
from domain.values import TYPED_LENGTH_MAX, EmailAddress, MalformedEmailError
from projections.accounts import LastAdminError
from projections.staff import Act

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
        raise ProblemError("MALFORMED")
    try:
        address = EmailAddress.parse(email)
    except MalformedEmailError:
        fields.faults["email"] = "email"
        return await _page(request, office, staff, fields)
    services, password = office.services, secrets.token_urlsafe(PASSWORD_BYTES)
    draft = services.storage.vault.staff(address, services.new_id())
    password_hash = await office.desk.hash_of(password)
    staff_id = await services.read(lambda: office.accounts.add(draft, password_hash, role, services.now()))
    if staff_id is None:
        fields.faults["email"] = "on_staff"
        return await _page(request, office, staff, fields)
    await _write_down(office, staff, "added_staff", staff_id)
    return await _page(request, office, staff, Fields({"role": "support"}), made=(address.typed, password))


@router.post("/{staff_id}/password")
async def reset_password(request: Request, office: TheOffice, staff: ActingAdmin, staff_id: UUID) -> Response:
    """A new password, shown this once; all sessions of the old one end."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    password_hash = await office.desk.hash_of(password)
    if not await office.services.read(lambda: office.accounts.set_password(staff_id, password_hash)):
        raise ProblemError("NOT_FOUND")
    await _write_down(office, staff, "reset_password", staff_id)
    people = await office.services.read(lambda: office.desk.staff.addresses_of_staff([staff_id]))
    made = (people.get(staff_id, ""), password)
    return await _page(request, office, staff, Fields({"role": "support"}), made=made)


@router.post("/{staff_id}/role")
async def change_role(
    request: Request, office: TheOffice, staff: ActingAdmin, staff_id: UUID, role: Annotated[str, Form()] = ""
) -> Response:
    """Another role, from the next click on."""
    if role not in ROLES:
        raise ProblemError("MALFORMED")
    try:
        is_done = await office.services.read(lambda: office.accounts.set_role(staff_id, role))
    except LastAdminError:
        return await _last_admin(request, office, staff)
    return await _after(office, staff, "changed_role", staff_id, is_done=is_done)


@router.post("/{staff_id}/remove")
async def remove(request: Request, office: TheOffice, staff: ActingAdmin, staff_id: UUID) -> Response:
    """Close the account; what they did stays under their name."""
    now = office.services.now()
    try:
        is_done = await office.services.read(lambda: office.accounts.remove(staff_id, now))
    except LastAdminError:
        return await _last_admin(request, office, staff)
    return await _after(office, staff, "removed_staff", staff_id, is_done=is_done)


async def _after(office: Office, staff: Staff, act: Act, staff_id: UUID, *, is_done: bool) -> Response:
    if not is_done:
        raise ProblemError("NOT_FOUND")
    await _write_down(office, staff, act, staff_id)
    return gone_to("/admin/staff")


async def _last_admin(request: Request, office: Office, staff: Staff) -> Response:
    fields = Fields({"role": "support"}, {"people": "last_admin"})
    return await _page(request, office, staff, fields)


async def _write_down(office: Office, staff: Staff, act: Act, staff_id: UUID) -> None:
    now = office.services.now()
    await office.services.read(lambda: office.desk.staff.record(act, staff.staff_id, now, staff_id))


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
        found = office.accounts.page(after, PER_PAGE + 1)
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
