"""Record that the email with a code of a hand-out bounced, from the recipient's page: with a reason."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.problems import status_of
from api.i18n.messages import refusal_detail
from api.use_cases.hand_outs.hand_out_actions import find_details, find_person, record_bounce
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.masking import mask_if_known
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import Support, SupportContextDep, SupportRoute, SupportWithForm
from api.web.staff_auth.staff import Staff
from domain.errors import HandOutMailConflict

router = APIRouter(prefix="/support/hand-outs/{hand_out_id}/recipients/{code_id}/bounce", route_class=SupportRoute)


@router.get("")
def ask_for_reason(
    request: Request, support: SupportContextDep, staff: Support, hand_out_id: UUID, code_id: UUID
) -> Response:
    """Say what is recorded, and ask for the reason."""
    return _form(request, support, staff, hand_out_id, code_id)


@router.post("")
def record(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    hand_out_id: UUID,
    code_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Record the bounce. A repeat changes nothing."""
    if not is_valid_reason(reason):
        return _form(request, support, staff, hand_out_id, code_id, reason)
    try:
        person = record_bounce(support.services, staff.caller(), hand_out_id, code_id, reason.strip())
    except ApplicationError as error:
        if error.code != HandOutMailConflict.code:
            raise
        return _form(request, support, staff, hand_out_id, code_id, reason, refusal=error)
    return see_other(f"/support/people/{person.recipient_id}?done=bounced#handed-out")


def _form(
    request: Request,
    support: SupportContext,
    staff: Staff,
    hand_out_id: UUID,
    code_id: UUID,
    reason: str | None = None,
    *,
    refusal: ApplicationError | None = None,
) -> Response:
    person = find_person(support.services, hand_out_id, code_id)
    details, campaign = find_details(support.services, hand_out_id)
    form = describe_reason_form(reason)
    if refusal is not None:
        form |= {"status": status_of(refusal.code), "is_refused": False}
    return support_page(
        request,
        "hand_out_bounce.html",
        staff,
        refusal=refusal_detail(refusal.code, get_language(request), **refusal.facts) if refusal else None,
        person=person,
        masked=mask_if_known(person.address),
        hand_out=details.created.name,
        campaign=campaign.terms.name,
        back=f"/support/people/{person.recipient_id}",
        **form,
    )
