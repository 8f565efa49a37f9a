"""Undo an opt-out of a recipient, at their request: with a reason, and recorded in the audit log."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.use_cases.privacy.opt_outs import undo_opt_out
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import support_page
from api.web.staff_auth.sessions import Support, SupportContextDep, SupportRoute, SupportWithForm
from api.web.staff_auth.staff import Staff
from domain.values.group_name import NAME_LENGTH_MAX
from projections.privacy.opt_outs import OptOutRepository

router = APIRouter(prefix="/support/people/{recipient_id}/opt-outs/undo", route_class=SupportRoute)
GroupParam = Annotated[str, Query(max_length=NAME_LENGTH_MAX)]
"""The name of the group; empty for emails of codes that name no group."""


@router.get("")
def ask_for_reason(
    request: Request, support: SupportContextDep, staff: Support, recipient_id: UUID, group: GroupParam = ""
) -> Response:
    """Ask for the reason."""
    return _form(request, support, staff, recipient_id, group)


@router.post("")
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


def _back(recipient_id: UUID) -> str:
    return f"/support/people/{recipient_id}"


def _form(
    request: Request, support: SupportContext, staff: Staff, recipient_id: UUID, group: str, reason: str | None = None
) -> Response:
    opted_out = OptOutRepository(support.services.storage).find_opted_out([recipient_id], group or None)
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
