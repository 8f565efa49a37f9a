"""Personal data: an admin exports or erases the data of one recipient."""

from fastapi import APIRouter

from api.http.blocking_route import BlockingRoute, answer_within, heavy_read
from api.http.dependencies import Admin, TheLanguage, TheServices
from api.http.openapi import OF_APPROVALS, PROTECTED, problem_responses
from api.schemas.parsing import parse_email
from api.schemas.resources import ForgetRequest, ForgottenView, PersonView
from api.use_cases.privacy.erase_person import ERASE_S_MAX, forget_person, row_refused
from api.use_cases.privacy.export_person import export_person
from projections.vault.vault import SealBrokenError

router = APIRouter(route_class=BlockingRoute, prefix="/api/v1/recipients", tags=["recipients"])


@router.post(
    "/forget",
    responses={
        **PROTECTED,
        **problem_responses(
            "RESERVATION_NOT_RESOLVABLE",
            *OF_APPROVALS,
            status_409="RESERVATION_NOT_RESOLVABLE: a message to the person is being sent; repeat in a minute."
            " APPROVAL_REQUIRED: it waits for the approval of a second person. APPROVALS_FULL.",
        ),
    },
    summary="Erase a person's data",
)
@answer_within(ERASE_S_MAX)
def forget(body: ForgetRequest, services: TheServices, caller: Admin) -> ForgottenView:
    """Settles the person's pending reservations, disables their links, and deletes the email address and texts.

    Counts and balances do not change.
    """
    done = forget_person(services, caller, body.email, body.reason)
    return ForgottenView(forgotten=list(done.recipient_ids), closed=done.closed)


@router.post(
    "/export",
    responses={**PROTECTED, **problem_responses(*OF_APPROVALS, "APPROVAL_NOT_POSSIBLE")},
    summary="Export everything about a person",
)
@heavy_read(ERASE_S_MAX)
def export(body: ForgetRequest, services: TheServices, language: TheLanguage, caller: Admin) -> PersonView:
    """Returns everything stored about this email address. The audit log records the export and its reason.

    If exports need an approval, repeat the request once a second person has approved it: it is answered once.
    """
    address = parse_email(body.email)
    try:
        return PersonView.model_validate(export_person(services, caller, address, language, body.reason))
    except SealBrokenError as error:
        raise row_refused(error) from error
