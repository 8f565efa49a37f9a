"""Send the code of a hand-out to its recipient again, from the recipient's page."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from fastapi.responses import Response

from api.use_cases.hand_outs.hand_out_actions import resend_to_person
from api.web.rendering import see_other
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, SupportWithForm

router = APIRouter(prefix="/support/hand-outs/{hand_out_id}/recipients", route_class=SupportRoute)


@router.post("/{code_id}/resend")
def resend(
    support: SupportContextDep,
    staff: SupportWithForm,
    hand_out_id: UUID,
    code_id: UUID,
    seen: Annotated[int | None, Form()] = None,
) -> Response:
    """Have the code sent again. While an email is queued, a repeat changes nothing."""
    person = resend_to_person(support.services, staff.caller(), hand_out_id, code_id, seen_mail=seen)
    return see_other(f"/support/people/{person.recipient_id}?done=resent#handed-out")
