"""The page that exports a person's data as a JSON file. The audit log records the export and its reason."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from api.http.blocking_route import heavy_read
from api.http.file_stream import describe_file
from api.i18n.catalogs import translator
from api.schemas.parsing import parse_email
from api.use_cases.privacy.erase_person import ERASE_S_MAX, row_refused
from api.use_cases.privacy.export_person import DOCUMENT_FORM, export_person
from api.web.forms import describe_reason_form, is_valid_reason
from api.web.rendering import see_other
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import Admin, AdminWithForm, SupportContextDep, SupportRoute
from api.web.staff_auth.staff import Staff
from api.web.support.actions.erase_person import find_address
from projections.vault.vault import SealBrokenError

router = APIRouter(prefix="/support/people/{recipient_id}/export", route_class=SupportRoute)


@router.get("")
def show_form(request: Request, support: SupportContextDep, staff: Admin, recipient_id: UUID) -> Response:
    """Ask for the reason. If the data is erased, the page of the person says so."""
    if find_address(support, recipient_id) is None:
        return see_other(f"/support/people/{recipient_id}")
    return _render(request, staff, recipient_id)


@router.post("")
@heavy_read(ERASE_S_MAX)
def export(
    request: Request,
    support: SupportContextDep,
    staff: AdminWithForm,
    recipient_id: UUID,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Send everything that is stored about the person; once per approval, if exports need one."""
    address = find_address(support, recipient_id)
    if address is None:
        return see_other(f"/support/people/{recipient_id}")
    if not is_valid_reason(reason):
        return _render(request, staff, recipient_id, reason)
    language = get_language(request)
    try:
        document = export_person(support.services, staff.caller(), parse_email(address), language, reason.strip())
    except SealBrokenError as error:
        raise row_refused(error) from error
    content = orjson.dumps(document, option=DOCUMENT_FORM)
    return Response(content, media_type="application/json", headers=describe_file("person.json"))


def _render(request: Request, staff: Staff, recipient_id: UUID, reason: str | None = None) -> Response:
    return support_page(
        request,
        "export.html",
        staff,
        section="person",
        words="page.support.person.export",
        about=translator(get_language(request))("page.support.person"),
        back=f"/support/people/{recipient_id}",
        **describe_reason_form(reason),
    )
