"""Reveal masked data: by role, with a reason, for a few minutes, and recorded in the audit log."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, NamedTuple
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
Subject = Literal["reservations", "codes", "people"]
"""What masked data is about, as paths name it."""


class Masked(NamedTuple):
    """What the page of a subject masks: the end of the keys of its texts, the entry in the audit log, the subject."""

    what: Literal["email", "code"]
    action: AuditAction
    exists: Callable[[SupportContext, UUID], bool]


MASKED: Final[Mapping[Subject, Masked]] = {
    "reservations": Masked(
        "email", "unmasked_email", lambda support, key: support.reader.find_code_of_reservation(key) is not None
    ),
    "codes": Masked("code", "unmasked_code", lambda support, key: support.statements.find_newest_version(key) > 0),
    "people": Masked(
        "email", "unmasked_email", lambda support, key: support.reader.find_email_address(key) is not None
    ),
}

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


@router.get("/{subject}/{subject_id}/unmask")
def ask_for_reason(request: Request, staff: Support, subject: Subject, subject_id: UUID) -> Response:
    """Ask for the reason."""
    return _form(request, staff, MASKED[subject].what, f"/support/{subject}/{subject_id}")


@router.post("/{subject}/{subject_id}/unmask")
def unmask(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    subject: Subject,
    subject_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Record that the email address or the code is revealed, then show it."""
    masked, back = MASKED[subject], f"/support/{subject}/{subject_id}"
    if not is_valid_reason(reason):
        return _form(request, staff, masked.what, back, reason)
    if not masked.exists(support, subject_id):
        raise ApplicationError("NOT_FOUND")
    support.audit(staff.caller(), masked.action, subject_id, reason.strip())
    return see_other(back)


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


def _form(request: Request, staff: Staff, what: str, back: str, reason: str | None = None) -> Response:
    form = describe_reason_form(reason)
    return support_page(request, "unmask.html", staff, what=what, back=back, shown_min=SHOWN_S // 60, **form)
