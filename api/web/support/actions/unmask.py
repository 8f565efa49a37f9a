"""Reveal masked data: by role, with a reason, for a few minutes, and recorded in the audit log."""

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.use_cases.reservation_actions import reveal_link
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import support_page
from api.web.staff_auth.sessions import Support, SupportContextDep, SupportRoute, SupportWithForm
from api.web.staff_auth.staff import Staff
from projections.repositories.audit_log import AuditAction

SHOWN_S: Final = 300

router = APIRouter(prefix="/support", route_class=SupportRoute)


def unmasked_until(
    support: SupportContext, staff: Staff, action: AuditAction, subject_id: UUID, now: datetime
) -> datetime | None:
    """Return until when something is shown to this member of staff; None if it is masked. The audit log decides."""
    if not staff.has_role("support"):
        return None
    since = now - timedelta(seconds=SHOWN_S)
    at = support.sessions.find_revealed_since(staff.staff_id, since, [subject_id]).get((action, subject_id))
    return None if at is None else at + timedelta(seconds=SHOWN_S)


@router.get("/reservations/{reservation_id}/unmask")
def ask_for_email(request: Request, staff: Support, reservation_id: UUID) -> Response:
    """Ask for the reason."""
    return _form(request, staff, "email", f"/support/reservations/{reservation_id}")


@router.get("/reservations/{reservation_id}/reveal-link")
def ask_for_link(request: Request, staff: Support, reservation_id: UUID) -> Response:
    """Ask for the reason."""
    return _form(request, staff, "link", f"/support/reservations/{reservation_id}")


@router.post("/reservations/{reservation_id}/reveal-link")
def reveal_link_on_page(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    reservation_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Record that the link of the invitation is revealed, then show it."""
    back = f"/support/reservations/{reservation_id}"
    if not is_valid_reason(reason):
        return _form(request, staff, "link", back, reason)
    reveal_link(support.services, staff.caller(), reservation_id, note=reason.strip())
    return see_other(f"{back}#link")


@router.get("/codes/{code_id}/unmask")
def ask_for_code(request: Request, staff: Support, code_id: UUID) -> Response:
    """Ask for the reason."""
    return _form(request, staff, "code", f"/support/codes/{code_id}")


@router.get("/people/{recipient_id}/unmask")
def ask_for_person(request: Request, staff: Support, recipient_id: UUID) -> Response:
    """Ask for the reason."""
    return _form(request, staff, "email", f"/support/people/{recipient_id}")


@router.post("/people/{recipient_id}/unmask")
def unmask_person(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    recipient_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Record that the recipient's address is revealed, then show it."""
    back = f"/support/people/{recipient_id}"
    if not is_valid_reason(reason):
        return _form(request, staff, "email", back, reason)
    if support.reader.find_email_address(recipient_id) is None:
        raise ApplicationError("NOT_FOUND")
    return _unmask(support, staff, "unmasked_email", recipient_id, reason, back)


@router.post("/reservations/{reservation_id}/unmask")
def unmask_email(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    reservation_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Record that the address is revealed, then show it."""
    back = f"/support/reservations/{reservation_id}"
    if not is_valid_reason(reason):
        return _form(request, staff, "email", back, reason)
    if support.reader.find_code_of_reservation(reservation_id) is None:
        raise ApplicationError("NOT_FOUND")
    return _unmask(support, staff, "unmasked_email", reservation_id, reason, back)


@router.post("/codes/{code_id}/unmask")
def unmask_code(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    code_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Record that the code is revealed, then show it."""
    back = f"/support/codes/{code_id}"
    if not is_valid_reason(reason):
        return _form(request, staff, "code", back, reason)
    if support.statements.find_newest_version(code_id) == 0:
        raise ApplicationError("NOT_FOUND")
    return _unmask(support, staff, "unmasked_code", code_id, reason, back)


def _unmask(
    support: SupportContext, staff: Staff, action: AuditAction, subject_id: UUID, reason: str, back: str
) -> Response:
    support.audit(staff.caller(), action, subject_id, reason.strip())
    return see_other(back)


def _form(request: Request, staff: Staff, what: str, back: str, reason: str | None = None) -> Response:
    form = describe_reason_form(reason)
    return support_page(request, "unmask.html", staff, what=what, back=back, shown_min=SHOWN_S // 60, **form)
