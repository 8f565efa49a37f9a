"""What staff and integrators may do to one code: change its terms, pause, resume, revoke, note something."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Response
from msgspec import structs

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayReadCodes, MayWriteCodes, TheServices
from api.http.etags import IfMatch, expected_terms, tag_of
from api.http.openapi import PROTECTED, problem_responses
from api.schemas.resources import CodeView, NoteRequest, ReasonRequest, TermsRequest, TermsView, WholeTerms
from api.use_cases import code_actions
from api.use_cases.services import Services
from api.v1.codes.code_views import view_of_code
from domain.command_bus import CommandResult
from domain.events.code_terms import TERM_NAMES, CodeTerms
from projections.definitions.tables.code_balances import code_from_named_row

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/codes/{code_id}",
    tags=["codes"],
    responses={**PROTECTED, **problem_responses("NOT_FOUND")},
)

Reason = Annotated[ReasonRequest | None, Body()]


@router.patch("", responses=problem_responses(code_actions.change_terms), summary="Change a code's terms")
def change_terms(
    code_id: UUID,
    body: TermsRequest,
    services: TheServices,
    caller: MayWriteCodes,
    response: Response,
    if_match: IfMatch = None,
) -> CodeView:
    """What is not named stays. A limit below what is used and reserved is refused; nothing else is taken back.

    With If-Match only if the terms are those of that ETag.
    """
    changes = {name: getattr(body, name) for name in TERM_NAMES if name in body.model_fields_set}
    expected = None if if_match is None else expected_terms(if_match, _terms(services, code_id))
    result = code_actions.change_terms(services, caller, code_id, changes, expected=expected, note=body.note or "")
    response.headers["ETag"] = tag_of(result.code.terms)
    return view_of_code(result.code, services.now())


@router.get("/terms", summary="A code's terms, with their ETag")
def terms(code_id: UUID, services: TheServices, _: MayReadCodes, response: Response) -> TermsView:
    """What a change by PUT begins with."""
    terms = _terms(services, code_id)
    response.headers["ETag"] = tag_of(terms)
    return TermsView.model_validate(structs.asdict(terms))


@router.put(
    "/terms",
    responses=problem_responses(code_actions.change_terms, "PRECONDITION_REQUIRED"),
    summary="Replace a code's terms",
)
def replace_terms(
    code_id: UUID,
    body: WholeTerms,
    services: TheServices,
    caller: MayWriteCodes,
    response: Response,
    if_match: IfMatch = None,
) -> TermsView:
    """All terms at once, so it needs If-Match: nobody's change is lost unseen."""
    if if_match is None:
        raise ApplicationError("PRECONDITION_REQUIRED")
    changes = {name: getattr(body, name) for name in TERM_NAMES}
    expected = expected_terms(if_match, _terms(services, code_id))
    result = code_actions.change_terms(services, caller, code_id, changes, expected=expected, note=body.note or "")
    new_terms = result.code.terms
    response.headers["ETag"] = tag_of(new_terms)
    return TermsView.model_validate(structs.asdict(new_terms))


@router.post("/pause", responses=problem_responses(code_actions.pause), summary="Take no new reservations for now")
def pause(code_id: UUID, services: TheServices, caller: MayWriteCodes, body: Reason = None) -> CodeView:
    """Reservations that stand go on. Pausing a paused code changes nothing."""
    return _view(services, code_actions.pause(services, caller, code_id, note=_note(body)))


@router.post("/resume", responses=problem_responses(code_actions.resume), summary="Take new reservations again")
def resume(code_id: UUID, services: TheServices, caller: MayWriteCodes, body: Reason = None) -> CodeView:
    """The end of a pause. Resuming a code that is not paused changes nothing."""
    return _view(services, code_actions.resume(services, caller, code_id, note=_note(body)))


@router.post("/revoke", summary="Stop new reservations permanently")
def revoke(code_id: UUID, services: TheServices, caller: MayWriteCodes, body: Reason = None) -> CodeView:
    """What is held is given back, what is in doubt becomes a case; what was sent stays.

    `reserved` in the answer is what is being sent right now, or waits for a person; of a code that held thousands also
    what is given back within the next minutes.
    """
    result = code_actions.revoke(services, caller, code_id, note=_note(body))
    row = services.reader.find_balance(code_id)
    return view_of_code(code_from_named_row(row) if row else result.code, services.now())


@router.post("/notes", summary="Note something about a code")
def add_note(code_id: UUID, body: NoteRequest, services: TheServices, caller: MayWriteCodes) -> CodeView:
    """It stands in the code's history; its text is kept sealed in the vault."""
    return _view(services, code_actions.add_note(services, caller, code_id, note=body.note))


def _terms(services: Services, code_id: UUID) -> CodeTerms:
    row = services.reader.find_balance(code_id)
    if row is None:
        raise ApplicationError("NOT_FOUND")
    return code_from_named_row(row).terms


def _view(services: Services, result: CommandResult) -> CodeView:
    return view_of_code(result.code, services.now())


def _note(body: ReasonRequest | None) -> str:
    return "" if body is None else body.note or ""
