"""The pages of staff accounts: invite, change a role, send a link for a new password, end sessions, remove one."""

from collections.abc import Callable
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.pagination import Page, count_list, format_cursor
from api.i18n.catalogs import translator
from api.schemas.parsing import find_email
from api.use_cases.administration.staff_accounts import (
    LostAccess,
    end_sessions,
    find_lost_access,
    remove_factors,
    remove_staff,
    set_staff_role,
)
from api.use_cases.administration.staff_links import NewLink, invite_staff, repeat_invitation, reset_password
from api.web.admin.api_keys.key_list import ROLES
from api.web.admin.confirmation import ConfirmedAction, Question, ask_confirmation
from api.web.admin.context import AdminContext, AdminContextDep, admin_page
from api.web.forms import FormFields, is_valid_reason
from api.web.list_order import SortedBy
from api.web.rendering import see_other
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.session_list import list_sessions, parse_session_key
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.values.identifiers import TYPED_LENGTH_MAX, EmailAddress
from projections.config.staff_roles import RANK, Role
from projections.repositories.staff_accounts import LastAdminError, StaffRow
from projections.repositories.staff_factors import StaffFactorRepository

PER_PAGE: Final = 50
BY_CREATION: Final = SortedBy(column="created", default="oldest")

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
def invite_on_page(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    email: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
) -> Response:
    """Add an account, and send its user a link by which they choose a password."""
    if role not in ROLES:
        raise ApplicationError("MALFORMED")
    fields = FormFields({"email": email[:TYPED_LENGTH_MAX], "role": role})
    if (address := find_email(email)) is None:
        fields.errors["email"] = "email"
        return _render(request, admin, staff, fields)
    draft = admin.services.storage.vault.draft_staff(address, admin.services.new_id())
    link = invite_staff(admin.services.open_audit_log(staff.caller()), draft, role)
    if link is None:
        fields.errors["email"] = "on_staff"
        return _render(request, admin, staff, fields)
    return _send(request, admin, link, address)


@router.post("/{staff_id}/invitation")
def invite_again(request: Request, admin: AdminContextDep, staff: AdminWithForm, staff_id: UUID) -> Response:
    """Send another link for an invitation that is not accepted; the former one works no more."""
    address = _address_of(_find(admin, staff_id))
    link = repeat_invitation(admin.services.open_audit_log(staff.caller()), staff_id)
    if link is None:
        raise ApplicationError("NOT_FOUND")
    return _send(request, admin, link, address)


def _send(request: Request, admin: AdminContext, link: NewLink, address: EmailAddress) -> Response:
    """Send a link, and lead to the page of its account, which shows what became of the email."""
    admin.support.mailer.send(link, address, get_language(request))
    return see_other(f"/admin/staff/{link.staff_id}?done={link.purpose}")


@router.get("/{staff_id}")
def show_member(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    staff_id: UUID,
    done: Literal["", "invitation", "password", "factors"] = "",
) -> Response:
    """Show an account with its invitation or its open sessions.

    `done`: the purpose of a link that was just created, or `factors`, which were removed.
    """
    account = _find(admin, staff_id)
    rows = admin.support.sessions.list_of(staff_id, admin.services.now())
    return admin_page(
        request,
        "staff_member.html",
        staff,
        account=account,
        staff_id=staff_id,
        sessions=list_sessions(rows, translator(get_language(request))),
        sessions_path=f"/admin/staff/{staff_id}/sessions",
        factor_count=_count_factors(admin, staff_id),
        done=done,
        now=admin.services.now(),
    )


@router.get("/{staff_id}/sessions")
def ask_to_end_sessions(request: Request, admin: AdminContextDep, staff: Admin, staff_id: UUID) -> Response:
    """Say how many sessions of an account end, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, staff_id, "end_sessions"))


@router.post("/{staff_id}/sessions")
def end_sessions_on_page(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    staff_id: UUID,
    session: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    """End the named session of an account; or all of them, for a reason."""
    _find(admin, staff_id)
    only = parse_session_key(session)
    if only is None and not is_valid_reason(reason):
        return ask_confirmation(request, staff, _question(request, admin, staff_id, "end_sessions"), reason)
    audit_log = admin.services.open_audit_log(staff.caller())
    end_sessions(audit_log, staff_id, only=only, note=reason.strip() or None)
    return see_other(f"/admin/staff/{staff_id}")


@router.get("/{staff_id}/password")
def ask_to_reset(request: Request, admin: AdminContextDep, staff: Admin, staff_id: UUID) -> Response:
    """Say what a new password ends, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, staff_id, "reset_password"))


@router.post("/{staff_id}/password")
def reset_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, staff_id: UUID, reason: Annotated[str, Form()] = ""
) -> Response:
    """Make the password of an account useless, end its sessions, and send its user a link for a new one."""
    if not is_valid_reason(reason):
        question = _question(request, admin, staff_id, "reset_password")
        return ask_confirmation(request, staff, question, reason)
    address = _address_of(_find(admin, staff_id))
    link = reset_password(admin.services.open_audit_log(staff.caller()), staff_id, reason.strip())
    if link is None:
        raise ApplicationError("NOT_FOUND")
    return _send(request, admin, link, address)


@router.get("/{staff_id}/factors")
def ask_to_remove_factors(request: Request, admin: AdminContextDep, staff: Admin, staff_id: UUID) -> Response:
    """Say what an account loses with its second factors, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, staff_id, "remove_factors"))


@router.post("/{staff_id}/factors")
def remove_factors_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, staff_id: UUID, reason: Annotated[str, Form()] = ""
) -> Response:
    """Remove all second factors of an account, and end its sessions: its user lost the device."""
    if not is_valid_reason(reason):
        return ask_confirmation(request, staff, _question(request, admin, staff_id, "remove_factors"), reason)
    _find(admin, staff_id)
    if remove_factors(admin.services.open_audit_log(staff.caller()), staff_id, reason.strip()) is None:
        raise ApplicationError("NOT_FOUND")
    return see_other(f"/admin/staff/{staff_id}?done=factors")


@router.get("/{staff_id}/role")
def ask_to_change_role(
    request: Request, admin: AdminContextDep, staff: Admin, staff_id: UUID, role: Annotated[Role, Query()]
) -> Response:
    """Say what a lower role ends, and ask for the reason."""
    return ask_confirmation(request, staff, _question(request, admin, staff_id, "change_role", role))


@router.post("/{staff_id}/role")
def change_role(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    staff_id: UUID,
    role: Annotated[str, Form()] = "",
    asked_role: Annotated[str, Query(alias="role")] = "",
    reason: Annotated[str | None, Form()] = None,
) -> Response:
    """Change a role; it holds from the next request. A lower one is confirmed on a page, whose URL names it."""
    new_role = next((each for each in ROLES if each == (asked_role or role)), None)
    if new_role is None:
        raise ApplicationError("MALFORMED")
    is_lower = RANK[new_role] < RANK[_find(admin, staff_id).role]
    if is_lower and reason is None:
        return see_other(f"/admin/staff/{staff_id}/role?role={new_role}")
    if is_lower and not is_valid_reason(reason or ""):
        question = _question(request, admin, staff_id, "change_role", new_role)
        return ask_confirmation(request, staff, question, reason)
    audit_log, why = admin.services.open_audit_log(staff.caller()), (reason or "").strip()
    return _change_account(request, admin, staff, lambda: set_staff_role(audit_log, staff_id, new_role, why))


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


def _address_of(account: StaffRow) -> EmailAddress:
    """Return the email address of an account, as an email needs it.

    Raises:
        ApplicationError: NOT_FOUND, its row was altered.
    """
    address = find_email(account.address or "")
    if address is None:
        raise ApplicationError("NOT_FOUND")
    return address


def _count_factors(admin: AdminContext, staff_id: UUID) -> int:
    return len(StaffFactorRepository(admin.services.storage).list_of(staff_id))


def _find(admin: AdminContext, staff_id: UUID) -> StaffRow:
    account = admin.accounts.find(staff_id)
    if account is None:
        raise ApplicationError("NOT_FOUND")
    return account


def _question(
    request: Request, admin: AdminContext, staff_id: UUID, action: ConfirmedAction, role: Role | None = None
) -> Question:
    """Return what a page asks before an account loses access: all of it, or what the new role lacks."""
    account, t = _find(admin, staff_id), translator(get_language(request))
    if account.invitation is not None and action == "remove_staff":
        action = "revoke_invitation"
    lost = find_lost_access(admin.services.storage, staff_id, role, admin.services.now())
    facts = [(t("page.admin.field.role"), t(f"page.support.role.{account.role}"))]
    if role is not None:
        facts.append((t("page.admin.field.new_role"), t(f"page.support.role.{role}")))
    if action == "remove_factors":
        facts.append((t("page.factors.title"), f"{_count_factors(admin, staff_id):,}"))
    if action != "revoke_invitation":
        facts.append((t("page.admin.staff.sessions"), f"{lost.sessions:,}"))
    if action in {"remove_staff", "change_role"}:
        facts.append((t("page.admin.staff.keys"), f"{lost.keys:,}"))
    return Question(action, "staff", account.address or str(staff_id), "/admin/staff", tuple(facts))


def _change_account(
    request: Request, admin: AdminContext, staff: Staff, change: Callable[[], LostAccess | None]
) -> Response:
    """Change an account and go back to the list; the last admin stays one."""
    try:
        lost = change()
    except LastAdminError:
        return _render(request, admin, staff, FormFields({"role": "support"}, errors={"people": "last_admin"}))
    if lost is None:
        raise ApplicationError("NOT_FOUND")
    return see_other("/admin/staff")


def _render(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    fields: FormFields,
    *,
    by: SortedBy = BY_CREATION,
    cursor: str | None = None,
) -> Response:
    rows = admin.accounts.list_page(by.find_place(cursor), PER_PAGE + 1, by.order)
    page = Page.of(rows, PER_PAGE, lambda row: format_cursor(row.created_at, row.staff_id))
    return admin_page(
        request,
        "staff.html",
        staff,
        status=422 if fields.errors else 200,
        is_first=cursor is None,
        values=fields.values,
        errors=fields.errors,
        roles=ROLES,
        now=admin.services.now(),
        typed_length_max=TYPED_LENGTH_MAX,
        by=by,
        accounts=page.rows,
        total=count_list(admin.services.storage, "staff_list", page, is_first=cursor is None),
        next=page.next,
    )
