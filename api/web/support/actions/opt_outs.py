"""Undo an opt-out, and allow emails to an address again: each with a reason, and recorded in the audit log."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.use_cases.privacy.opt_outs import allow_emails, undo_opt_out
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import support_page
from api.web.staff_auth.sessions import Support, SupportContextDep, SupportRoute, SupportWithForm
from api.web.staff_auth.staff import Staff
from domain.values.group_name import NAME_LENGTH_MAX
from projections.privacy.opt_outs import OptOutRepository

router = APIRouter(prefix="/support/people/{recipient_id}", route_class=SupportRoute)
GroupParam = Annotated[str, Query(max_length=NAME_LENGTH_MAX)]
"""The name of the group; empty for emails of codes that name no group."""


@router.get("/opt-outs/undo")
def ask_for_reason(
    request: Request, support: SupportContextDep, staff: Support, recipient_id: UUID, group: GroupParam = ""
) -> Response:
    """Ask for the reason."""
    return _form(request, support, staff, recipient_id, group)


@router.post("/opt-outs/undo")
def undo(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    recipient_id: UUID,
    group: GroupParam = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Delete the choice. A repeat finds it done."""
    if not is_valid_reason(reason):
        return _form(request, support, staff, recipient_id, group, reason=reason)
    undo_opt_out(support.services.open_audit_log(staff.caller()), recipient_id, group or None, reason.strip())
    return see_other(_back(recipient_id))


@router.get("/allow-emails")
def ask_why_emails_are_allowed(
    request: Request, support: SupportContextDep, staff: Support, recipient_id: UUID
) -> Response:
    """Ask for the reason."""
    return _allow_form(request, support, staff, recipient_id)


@router.post("/allow-emails")
def allow(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    recipient_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Allow emails to an address that bounced, or whose owner complained. A repeat finds it done."""
    if not is_valid_reason(reason):
        return _allow_form(request, support, staff, recipient_id, reason=reason)
    allow_emails(support.services.open_audit_log(staff.caller()), recipient_id, reason.strip())
    return see_other(_back(recipient_id))


def _allow_form(
    request: Request, support: SupportContext, staff: Staff, recipient_id: UUID, reason: str | None = None
) -> Response:
    suppressed = OptOutRepository(support.services.storage).list_suppressions(recipient_id)
    if not suppressed:
        raise ApplicationError("NOT_FOUND")
    return support_page(
        request,
        "allow_emails.html",
        staff,
        suppressed=suppressed,
        back=_back(recipient_id),
        **describe_reason_form(reason),
    )


def _back(recipient_id: UUID) -> str:
    return f"/support/people/{recipient_id}"


def _form(
    request: Request, support: SupportContext, staff: Staff, recipient_id: UUID, group: str, reason: str | None = None
) -> Response:
    opted_out = OptOutRepository(support.services.storage).has_opted_out(recipient_id, group or None)
    if not opted_out:
        raise ApplicationError("NOT_FOUND")
    return support_page(
        request,
        "undo_opt_out.html",
        staff,
        group=group,
        back=_back(recipient_id),
        **describe_reason_form(reason),
    )
