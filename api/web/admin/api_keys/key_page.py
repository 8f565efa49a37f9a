"""The page of an API key: its rights and its last use; replace it, change its networks, revoke it."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.i18n.catalogs import translator
from api.schemas.ip_networks import NETWORKS_MAX
from api.use_cases.administration.create_api_key import (
    OVERLAP_HOURS,
    OVERLAP_HOURS_USUAL,
    CannotReplaceError,
    Replacement,
    find_replace_problem,
    replace_api_key,
    revoke_key,
    set_key_networks,
)
from api.web.admin.api_keys.key_form import read_end, read_networks, render_key_page
from api.web.admin.confirmation import Question, ask_confirmation
from api.web.admin.context import AdminContext, AdminContextDep
from api.web.forms import FormDep, FormFields, describe_reason_form, id_from_nonce, is_valid_reason
from api.web.rendering import see_other
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportRoute
from api.web.staff_auth.staff import Staff
from domain.values.timestamps import text_of
from projections.repositories.api_keys import ApiKeyRow

Done = Literal["", "revoked", "networks"]
"""What was done before the page is shown."""

router = APIRouter(prefix="/admin/keys", route_class=SupportRoute)


@router.get("/{key_id}")
def show_key(request: Request, admin: AdminContextDep, staff: Admin, key_id: UUID, done: Done = "") -> Response:
    """Show a key with its last use, next to the key that it replaces or that replaces it."""
    return _show(request, admin, staff, key_id, done=done)


@router.get("/{key_id}/replace")
def ask_to_replace(request: Request, admin: AdminContextDep, staff: Admin, key_id: UUID) -> Response:
    """Say what a replacement does, and ask when both keys end."""
    usual = FormFields({"overlap_hours": str(OVERLAP_HOURS_USUAL)})
    return _ask_to_replace(request, admin, staff, _find(admin, key_id), usual)


@router.post("/{key_id}/replace")
def replace_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, key_id: UUID, fields: FormDep
) -> Response:
    """Create the replacement and show its secret; the former key ends after the overlap."""
    audit_log = admin.services.open_audit_log(staff.caller())
    key, new_id = _find(admin, key_id), id_from_nonce(fields.values.get("nonce", ""))
    expires_at = read_end(fields, audit_log.now)
    overlap = fields.number("overlap_hours", OVERLAP_HOURS)
    if overlap is None:
        fields.errors.setdefault("overlap_hours", "missing")
    if fields.errors or overlap is None:
        return _ask_to_replace(request, admin, staff, key, fields)
    try:
        secret = replace_api_key(audit_log, key_id, Replacement(new_id, expires_at, overlap))
    except CannotReplaceError:
        return _ask_to_replace(request, admin, staff, _find(admin, key_id), fields)
    return _show(request, admin, staff, new_id, new_key={"name": key.name, "secret": secret})


@router.get("/{key_id}/networks")
def ask_for_networks(request: Request, admin: AdminContextDep, staff: Admin, key_id: UUID) -> Response:
    """Show the form of the networks that a key may be used from."""
    key = _find_usable(admin, key_id)
    fields = FormFields({"networks": "\n".join(key.networks or ())})
    return _ask_for_networks(request, admin, staff, key, fields, None)


@router.post("/{key_id}/networks")
def change_networks(
    request: Request,
    admin: AdminContextDep,
    staff: AdminWithForm,
    key_id: UUID,
    fields: FormDep,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Change the networks; the next request from another one is refused."""
    key, networks = _find_usable(admin, key_id), read_networks(fields)
    if fields.errors or not is_valid_reason(reason):
        return _ask_for_networks(request, admin, staff, key, fields, reason)
    set_key_networks(admin.services.open_audit_log(staff.caller()), key_id, networks, reason.strip())
    return see_other(f"/admin/keys/{key_id}?done=networks")


@router.get("/{key_id}/revoke")
def ask_to_revoke(request: Request, admin: AdminContextDep, staff: Admin, key_id: UUID) -> Response:
    """Say what a revocation does, and ask for the reason; a key that was revoked before is shown instead."""
    if _find(admin, key_id).revoked_at is not None:
        return _show(request, admin, staff, key_id, is_revoked_before=True)
    return ask_confirmation(request, staff, _question(request, admin, key_id))


@router.post("/{key_id}/revoke")
def revoke_on_page(
    request: Request, admin: AdminContextDep, staff: AdminWithForm, key_id: UUID, reason: Annotated[str, Form()] = ""
) -> Response:
    """Revoke a key: requests with it are refused from now on."""
    if _find(admin, key_id).revoked_at is None and not is_valid_reason(reason):
        return ask_confirmation(request, staff, _question(request, admin, key_id), reason)
    if not revoke_key(admin.services.open_audit_log(staff.caller()), key_id, reason.strip()):
        return _show(request, admin, staff, key_id, is_revoked_before=True)
    return see_other(f"/admin/keys/{key_id}?done=revoked")


def _find(admin: AdminContext, key_id: UUID) -> ApiKeyRow:
    key = admin.keys.find(key_id)
    if key is None:
        raise ApplicationError("NOT_FOUND")
    return key


def _find_usable(admin: AdminContext, key_id: UUID) -> ApiKeyRow:
    key = _find(admin, key_id)
    if key.revoked_at is not None:
        raise ApplicationError("NOT_FOUND")
    return key


def _show(
    request: Request,
    admin: AdminContext,
    staff: Staff,
    key_id: UUID,
    *,
    new_key: dict[str, Any] | None = None,
    done: Done = "",
    is_revoked_before: bool = False,
) -> Response:
    key = _find(admin, key_id)
    other_id = key.replaced_by or key.replaces_id
    pair = [key] if other_id is None else sorted((key, _find(admin, other_id)), key=lambda row: row.created_at)
    return render_key_page(
        request,
        "api_key.html",
        staff,
        key,
        admin.services.now(),
        status=409 if is_revoked_before and request.method == "POST" else 200,
        pair=pair,
        new_key=new_key,
        done=done,
        is_revoked_before=is_revoked_before,
    )


def _ask_to_replace(
    request: Request, admin: AdminContext, staff: Staff, key: ApiKeyRow, fields: FormFields
) -> Response:
    now = admin.services.now()
    problem = find_replace_problem(key, now)
    is_refused = request.method == "POST"
    return render_key_page(
        request,
        "api_key_replace.html",
        staff,
        key,
        now,
        status=200 if not is_refused else 409 if problem else 422,
        problem=problem,
        values=fields.values,
        errors=fields.errors,
        overlap=OVERLAP_HOURS,
    )


def _ask_for_networks(
    request: Request, admin: AdminContext, staff: Staff, key: ApiKeyRow, fields: FormFields, reason: str | None
) -> Response:
    form = describe_reason_form(reason)
    form["is_refused"] = reason is not None and not is_valid_reason(reason)
    return render_key_page(
        request,
        "api_key_networks.html",
        staff,
        key,
        admin.services.now(),
        values=fields.values,
        errors=fields.errors,
        networks_max=NETWORKS_MAX,
        **form,
    )


def _question(request: Request, admin: AdminContext, key_id: UUID) -> Question:
    key, t = _find(admin, key_id), translator(get_language(request))
    rights = t(f"page.support.role.{key.role}") if key.scopes is None else ", ".join(key.scopes)
    facts = (
        (t("page.column.rights"), rights),
        (t("page.admin.keys.created"), text_of(key.created_at)),
        (t("page.column.last_used"), t("page.admin.keys.never_used") if key.used_at is None else text_of(key.used_at)),
    )
    name = key.name or t("page.admin.keys.nameless")
    return Question("revoke_key", "keys", name, f"/admin/keys/{key_id}", facts, is_below_subject=True)
