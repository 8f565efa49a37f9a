"""What staff and integrators may do with one code: change its terms, pause, resume, revoke, add a note."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute, heavy_read
from api.http.dependencies import MayReadCodes, MayWriteCodes, TheLanguage, TheReason, TheServices
from api.http.etags import IfMatch, expected_terms, tag_of
from api.http.openapi import PROTECTED, problem_responses
from api.schemas.campaigns import CodeLimitPreview
from api.schemas.code_terms import document_of_terms
from api.schemas.numbers import IN_DIGITS
from api.schemas.resources import CodeView, JoinRequest, NoteRequest, TermsRequest, TermsView, WholeTerms
from api.use_cases import code_actions
from api.use_cases.preview_limits import preview_code_limit, view_of_code_limit_choice
from api.use_cases.services import Services
from api.v1.codes.code_views import view_of_code
from domain.commands.code.change_terms import VALID_FOR
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.results import CommandResult
from domain.values.number_bounds import USES
from projections.definitions.tables.code_balances import code_from_named_row

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/codes/{code_id}",
    tags=["codes"],
    responses={**PROTECTED, **problem_responses("NOT_FOUND")},
)


@router.patch(
    "",
    responses=problem_responses(code_actions.change_terms, "PRECONDITION_REQUIRED"),
    summary="Change terms of a code",
)
def change_terms(
    code_id: UUID,
    body: TermsRequest,
    services: TheServices,
    caller: MayWriteCodes,
    response: Response,
    if_match: IfMatch = None,
) -> CodeView:
    """Changes the terms that the request names.

    A limit that is lowered below the used and reserved uses is refused, unless `counting` says which uses it counts:
    then these uses stay, and new ones are refused. `limit-preview` says what each choice would mean.

    With `If-Match`, the terms change only if they still have that ETag. `counting` `from_now` requires it, so that a
    repeated request does not add the uses again.
    """
    if body.counting == "from_now" and if_match is None:
        raise ApplicationError("PRECONDITION_REQUIRED")
    changes = {name: getattr(body, name) for name in TERM_NAMES if name in body.model_fields_set}
    if body.valid_for is not None:
        changes[VALID_FOR] = body.valid_for
    expected = None if if_match is None else expected_terms(if_match, _terms(services, code_id))
    result = code_actions.change_terms(
        services, caller, code_id, changes, expected=expected, counting=body.counting, note=body.note or ""
    )
    response.headers["ETag"] = tag_of(result.code.terms)
    return view_of_code(result.code, services.now())


@router.get("/limit-preview", summary="Preview a limit of a code")
@heavy_read()
def preview_limit(
    code_id: UUID,
    services: TheServices,
    language: TheLanguage,
    caller: MayReadCodes,
    max_uses: Annotated[int, Query(ge=USES.least, le=USES.most, description="As in the change."), IN_DIGITS],
) -> CodeLimitPreview:
    """Returns what a limit would mean if it counted all uses, and from now on; which uses would be over it.

    Nothing is changed.
    """
    choices = preview_code_limit(services, caller, code_id, max_uses)
    return CodeLimitPreview(id=code_id, choices=[view_of_code_limit_choice(each, language) for each in choices])


@router.get("/terms", summary="Get the terms of a code with their ETag")
def terms(code_id: UUID, services: TheServices, _: MayReadCodes, response: Response) -> TermsView:
    """Returns the terms. Send their ETag as `If-Match` when you replace them."""
    terms = _terms(services, code_id)
    response.headers["ETag"] = tag_of(terms)
    return TermsView.model_validate(document_of_terms(terms))


@router.put(
    "/terms",
    responses=problem_responses(code_actions.change_terms, "PRECONDITION_REQUIRED"),
    summary="Replace the terms of a code",
)
def replace_terms(
    code_id: UUID,
    body: WholeTerms,
    services: TheServices,
    caller: MayWriteCodes,
    response: Response,
    if_match: IfMatch = None,
) -> TermsView:
    """Replaces all terms. `If-Match` is required, so that no change by another caller is overwritten.

    `starts_at`, `allowed_domains` and `denied_domains` may be left out, and then stay as they are.
    """
    if if_match is None:
        raise ApplicationError("PRECONDITION_REQUIRED")
    changes = {name: getattr(body, name) for name in TERM_NAMES if name in body.model_fields_set}
    expected = expected_terms(if_match, _terms(services, code_id))
    result = code_actions.change_terms(services, caller, code_id, changes, expected=expected, note=body.note or "")
    new_terms = result.code.terms
    response.headers["ETag"] = tag_of(new_terms)
    return TermsView.model_validate(document_of_terms(new_terms))


@router.post("/pause", responses=problem_responses(code_actions.pause), summary="Pause a code")
def pause(code_id: UUID, services: TheServices, caller: MayWriteCodes, note: TheReason) -> CodeView:
    """Stops new reservations. Existing reservations continue. Pausing a paused code changes nothing."""
    return _view(services, code_actions.pause(services, caller, code_id, note=note))


@router.post("/resume", responses=problem_responses(code_actions.resume), summary="Resume a paused code")
def resume(code_id: UUID, services: TheServices, caller: MayWriteCodes, note: TheReason) -> CodeView:
    """Allows new reservations again. Resuming a code that is not paused changes nothing."""
    return _view(services, code_actions.resume(services, caller, code_id, note=note))


@router.post("/revoke", summary="Revoke a code permanently")
def revoke(code_id: UUID, services: TheServices, caller: MayWriteCodes, note: TheReason) -> CodeView:
    """Refunds pending reservations. Those with an unknown outcome become cases; sent invitations stay sent.

    `reserved` in the response counts the reservations that are being sent or need manual review. For a code with
    thousands of reservations, it also counts those that are refunded within the next minutes.
    """
    result = code_actions.revoke(services, caller, code_id, note=note)
    row = services.reader.find_balance(code_id)
    return view_of_code(code_from_named_row(row) if row else result.code, services.now())


@router.post(
    "/join-campaign", responses=problem_responses(code_actions.join_campaign), summary="Add a code to a campaign"
)
def join_campaign(code_id: UUID, body: JoinRequest, services: TheServices, caller: MayWriteCodes) -> CodeView:
    """Lets the code belong to the campaign permanently. Its uses so far do not count in the campaign.

    A code with pending reservations, of another campaign, or of another group than that of the campaign is refused.
    Joining the same campaign again changes nothing.
    """
    return _view(services, code_actions.join_campaign(services, caller, code_id, body.campaign))


@router.post("/notes", summary="Add a note to a code")
def add_note(code_id: UUID, body: NoteRequest, services: TheServices, caller: MayWriteCodes) -> CodeView:
    """Adds a note to the history of the code. Its text is stored encrypted in the vault."""
    return _view(services, code_actions.add_note(services, caller, code_id, note=body.note))


def _terms(services: Services, code_id: UUID) -> CodeTerms:
    row = services.reader.find_balance(code_id)
    if row is None:
        raise ApplicationError("NOT_FOUND")
    return code_from_named_row(row).terms


def _view(services: Services, result: CommandResult) -> CodeView:
    return view_of_code(result.code, services.now())
