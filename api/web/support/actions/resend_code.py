"""Send the code of a hand-out to its recipient again, or for the first time now: with a question and a reason."""

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.problems import status_of
from api.i18n.messages import refusal_detail
from api.use_cases.hand_outs.hand_out_actions import find_details, find_person, resend_to_person
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.masking import mask_if_known
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import Support, SupportContextDep, SupportRoute, SupportWithForm
from api.web.staff_auth.staff import Staff
from domain.errors import HandOutMailConflict
from projections.hand_outs.hand_out_reader import Person, PersonState

router = APIRouter(prefix="/support/hand-outs/{hand_out_id}/recipients/{code_id}/resend", route_class=SupportRoute)


@dataclass(frozen=True, slots=True)
class ResendPlace:
    """A recipient of a hand-out, and the page that the question came from and leads back to.

    Attributes:
        back: `person`: the page of the recipient; `list`: the list of the hand-out; `code`: this line of it.
        state: The state that the list shows.
    """

    hand_out_id: UUID
    code_id: UUID
    back: Literal["person", "list", "code"] = "person"
    state: PersonState | None = None

    def find_path(self, person: Person, *, is_queued: bool) -> str:
        """Return the path of that page; `is_queued`: it says that the email is queued."""
        if self.back == "person":
            return f"/support/people/{person.recipient_id}{'?done=resent' if is_queued else ''}#handed-out"
        line = {"code": self.code_id} if self.back == "code" else {"after": max(person.number - 1, 0)}
        queued, state = {"queued": "yes"} if is_queued else {}, {"state": self.state} if self.state else {}
        return f"/admin/hand-outs/{self.hand_out_id}?{urlencode({**line, **queued, **state})}#people"


async def _read_place(
    hand_out_id: UUID,
    code_id: UUID,
    back: Literal["person", "list", "code"] = "person",
    state: PersonState | None = None,
) -> ResendPlace:
    return ResendPlace(hand_out_id, code_id, back, state)


ResendPlaceDep = Annotated[ResendPlace, Depends(_read_place)]


@router.get("")
def ask_for_reason(request: Request, support: SupportContextDep, staff: Support, place: ResendPlaceDep) -> Response:
    """Say who gets which email, and ask for the reason."""
    return _form(request, support, staff, place)


@router.post("")
def resend(
    request: Request,
    support: SupportContextDep,
    staff: SupportWithForm,
    place: ResendPlaceDep,
    reason: Annotated[str, Form()] = "",
    seen: Annotated[int | None, Form()] = None,
) -> Response:
    """Have the code sent. While an email is queued, a repeat changes nothing."""
    if not is_valid_reason(reason):
        return _form(request, support, staff, place, reason)
    try:
        person = resend_to_person(
            support.services, staff.caller(), place.hand_out_id, place.code_id, seen_mail=seen, note=reason.strip()
        )
    except ApplicationError as error:
        if error.code != HandOutMailConflict.code:
            raise
        return _form(request, support, staff, place, reason, refusal=error)
    return see_other(place.find_path(person, is_queued=True))


def _form(
    request: Request,
    support: SupportContext,
    staff: Staff,
    place: ResendPlace,
    reason: str | None = None,
    *,
    refusal: ApplicationError | None = None,
) -> Response:
    person = find_person(support.services, place.hand_out_id, place.code_id)
    details, campaign = find_details(support.services, place.hand_out_id)
    form = describe_reason_form(reason)
    if refusal is not None:
        form["status"] = status_of(refusal.code)
    return support_page(
        request,
        "resend_code.html",
        staff,
        **form,
        refusal=refusal and refusal_detail(refusal.code, get_language(request), **refusal.facts),
        person=person,
        masked=mask_if_known(person.address),
        hand_out=details.created.name,
        campaign=campaign.terms.name,
        back=place.find_path(person, is_queued=False),
    )
