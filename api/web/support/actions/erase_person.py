"""The page that erases a person's data, with a preview. A form that is sent twice erases and is recorded once."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import answer_within
from api.i18n.messages import refusal_detail
from api.use_cases.privacy.erase_person import ERASE_S_MAX, forget_person
from api.web.forms import REASON_LENGTH_MAX, find_reason_fault, new_nonce, request_id_from_nonce
from api.web.masking import mask_if_known
from api.web.rendering import see_other
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportContextDep, SupportRoute
from api.web.staff_auth.staff import Staff
from projections.privacy.erasure import PersonEraser

DONE: Final = "forgotten"

router = APIRouter(prefix="/support/people/{recipient_id}/forget", route_class=SupportRoute)


@router.get("")
def show_erasure(request: Request, support: SupportContextDep, staff: Admin, recipient_id: UUID) -> Response:
    """Show what the erasure will do, and ask for the reason. If the data is erased already, there is no form."""
    address = find_address(support, recipient_id)
    return _done(recipient_id) if address is None else _form(request, support, staff, recipient_id, address)


@router.post("")
@answer_within(ERASE_S_MAX)
def erase(
    request: Request,
    support: SupportContextDep,
    staff: AdminWithForm,
    recipient_id: UUID,
    reason: Annotated[str, Form()] = "",
    nonce: Annotated[str, Form()] = "",
) -> Response:
    """Erase the data, or say why not yet. A repeated request finds it done."""
    address = find_address(support, recipient_id)
    if address is None:
        return _done(recipient_id)
    if (fault := find_reason_fault(reason)) is not None:
        return _form(request, support, staff, recipient_id, address, reason=reason, reason_fault=fault)
    caller = staff.caller(request_id_from_nonce(nonce))
    try:
        forget_person(support.services, caller, address, reason.strip())
    except ApplicationError as error:
        if error.code != "RESERVATION_NOT_RESOLVABLE":
            raise
        wrong = refusal_detail(error.code, get_language(request), **error.facts)
        return _form(request, support, staff, recipient_id, address, reason=reason, wrong=wrong)
    return _done(recipient_id)


def find_address(support: SupportContext, recipient_id: UUID) -> str | None:
    """Return a recipient's email address; None once it is erased.

    Raises:
        ApplicationError: NOT_FOUND, there never was such a recipient.
    """
    address = support.reader.find_email_address(recipient_id)
    if address is None and not is_erased(support, recipient_id):
        raise ApplicationError("NOT_FOUND")
    return address


def is_erased(support: SupportContext, recipient_id: UUID) -> bool:
    """Return whether there was such a recipient, of whom the vault has no email address now."""
    has_reservations = support.reader.count_reservations_of_recipient(recipient_id) > 0
    return has_reservations or PersonEraser(support.services.storage).has_erased(recipient_id)


def _done(recipient_id: UUID) -> Response:
    return see_other(f"/support/people/{recipient_id}?done={DONE}")


def _form(
    request: Request,
    support: SupportContext,
    staff: Staff,
    recipient_id: UUID,
    address: str,
    *,
    reason: str = "",
    reason_fault: str | None = None,
    wrong: str | None = None,
) -> Response:
    services = support.services
    outlook = PersonEraser(services.storage).preview(recipient_id, services.now())
    return support_page(
        request,
        "erase_person.html",
        staff,
        status=409 if wrong else 422 if reason_fault else 200,
        path=f"/support/people/{recipient_id}",
        address=mask_if_known(address),
        outlook=outlook,
        nonce=new_nonce(),
        reason=reason,
        reason_length_max=REASON_LENGTH_MAX,
        reason_fault=reason_fault,
        wrong=wrong,
    )
