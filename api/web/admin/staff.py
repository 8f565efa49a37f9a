"""The page of staff accounts: add one, change a role, set a new password, remove one."""

import secrets
from collections.abc import Callable
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.pagination import Page, count_list, format_cursor
from api.i18n.catalogs import translator
from api.schemas.parsing import find_email
from api.use_cases.administration.staff_accounts import add_staff, remove_staff, set_new_password, set_staff_role
from api.web.admin.api_keys import ROLES
from api.web.admin.confirmation import ConfirmedAction, Question, ask_confirmation
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import FormFields, is_valid_reason
from api.web.list_order import SortedBy
from api.web.rendering import see_other
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.values.identifiers import TYPED_LENGTH_MAX, EmailAddress
from projections.repositories.staff_accounts import LastAdminError

PER_PAGE: Final = 50
BY_CREATION: Final = SortedBy(column="created", default="oldest")
PASSWORD_BYTES: Final = 15
"""120 bits, as 20 characters that are typed once and then changed."""

router = APIRouter(prefix="/admin/staff", route_class=SupportRoute)


@router.get("")
def list_staff(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    by: Annotated[SortedBy, Depends(BY_CREATION.choose)],
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """List the staff accounts, with the form for a new one."""
    return _render(request, admin, staff, FormFields({"role": "support"}), by=by, cursor=cursor)


@router.post("")
async def add_on_page(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    email: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
) -> Response:
    """Add an account and show its first password, which no later page can show."""
    if role not in ROLES:
        raise ApplicationError("MALFORMED")
    fields = FormFields({"email": email[:TYPED_LENGTH_MAX], "role": role})
    if (address := find_email(email)) is None:
        fields.errors["email"] = "email"
        return await admin.services.run_blocking(_render, request, admin, staff, fields)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    password_hash = await admin.support.hash_password(password)
    if not await admin.services.run_blocking(_add, admin, staff, address, role, password_hash):
        fields.errors["email"] = "on_staff"
        return await admin.services.run_blocking(_render, request, admin, staff, fields)
    return await admin.services.run_blocking(_render_password, request, admin, staff, address.typed, password)


def _add(admin: AdminContext, staff: Staff, address: EmailAddress, role: str, password_hash: str) -> bool:
    """Add an account; return whether the email address is new."""
    services = admin.services
    draft = services.storage.vault.draft_staff(address, services.new_id())
    return add_staff(services.open_audit_log(staff.caller()), draft, password_hash, role) is not None


@router.get("/{staff_id}/password")
def ask_to_reset(request: Request, admin: AdminContextDep, staff: Admin, staff_id: UUID) -> Response:
    """Say what a new password ends, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, staff_id, "reset_password"))


@router.post("/{staff_id}/password")
async def reset_password(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, staff_id: UUID, reason: Annotated[str, Form()] = ""
) -> Response:
    """Set a new password and show it once; all sessions of the account end."""
    if not is_valid_reason(reason):
        question = await admin.services.run_blocking(_question, request, admin, staff_id, "reset_password")
        return ask_confirmation(request, staff, question, reason)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    password_hash = await admin.support.hash_password(password)
    address = await admin.services.run_blocking(_reset, admin, staff, staff_id, password_hash, reason.strip())
    return await admin.services.run_blocking(_render_password, request, admin, staff, address, password)


def _reset(admin: AdminContext, staff: Staff, staff_id: UUID, password_hash: str, reason: str) -> str:
    """Set an account's password; return its email address."""
    if not set_new_password(admin.services.open_audit_log(staff.caller()), staff_id, password_hash, reason):
        raise ApplicationError("NOT_FOUND")
    return admin.support.sessions.find_email_addresses([staff_id]).get(staff_id, "")


@router.post("/{staff_id}/role")
def change_role(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, staff_id: UUID, role: Annotated[str, Form()] = ""
) -> Response:
    """Change a role; it holds from the next request."""
    if role not in ROLES:
        raise ApplicationError("MALFORMED")
    audit_log = admin.services.open_audit_log(staff.caller())
    return _change_account(request, admin, staff, lambda: set_staff_role(audit_log, staff_id, role))


@router.get("/{staff_id}/remove")
def ask_to_remove(request: Request, admin: AdminContextDep, staff: Admin, staff_id: UUID) -> Response:
    """Say what a removal does, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, staff_id, "remove_staff"))


@router.post("/{staff_id}/remove")
def remove_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, staff_id: UUID, reason: Annotated[str, Form()] = ""
) -> Response:
    """Remove an account; what it did stays under its name."""
    if not is_valid_reason(reason):
        return ask_confirmation(request, staff, _question(request, admin, staff_id, "remove_staff"), reason)
    audit_log = admin.services.open_audit_log(staff.caller())
    return _change_account(request, admin, staff, lambda: remove_staff(audit_log, staff_id, reason.strip()))


def _question(request: Request, admin: AdminContext, staff_id: UUID, action: ConfirmedAction) -> Question:
    account, t = admin.accounts.find(staff_id), translator(get_language(request))
    if account is None:
        raise ApplicationError("NOT_FOUND")
    facts = (
        (t("page.admin.field.role"), t(f"page.support.role.{account.role}")),
        (t("page.admin.staff.sessions"), f"{account.sessions:,}"),
    )
    return Question(action, "staff", account.address or str(staff_id), "/admin/staff", facts)


def _change_account(request: Request, admin: AdminContext, staff: Staff, change: Callable[[], bool]) -> Response:
    """Change an account and go back to the list; the last admin stays one."""
    try:
        was_changed = change()
    except LastAdminError:
        return _render(request, admin, staff, FormFields({"role": "support"}, errors={"people": "last_admin"}))
    if not was_changed:
        raise ApplicationError("NOT_FOUND")
    return see_other("/admin/staff")


def _render_password(request: Request, admin: AdminContext, staff: Staff, address: str, password: str) -> Response:
    return _render(request, admin, staff, FormFields({"role": "support"}), new_password=(address, password))


def _render(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    fields: FormFields,
    *,
    by: SortedBy = BY_CREATION,
    cursor: str | None = None,
    new_password: tuple[str, str] | None = None,
) -> Response:
    rows = admin.accounts.list_page(by.find_place(cursor), PER_PAGE + 1, by.order)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.created_at, row.staff_id))
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
        by=by,
        accounts=page.rows,
        total=count_list(admin.services.storage, "staff_list", page, is_first=cursor is None),
        next=page.next,
    )
