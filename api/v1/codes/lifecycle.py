"""What staff and integrators may do to one code: change its terms, pause, resume, revoke, note something."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Response
from msgspec import structs

from api.errors import ApplicationError
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayReadCodes, MayWriteCodes, TheServices
from api.http.etags import IfMatch, expected_terms, tag_of
from api.schemas.resources import CodeView, NoteRequest, Problem, ReasonRequest, TermsRequest, TermsView, WholeTerms
from api.use_cases.code_history import view_of_code
from api.use_cases.services import Caller, Services
from domain.command_bus import CodeCommand
from domain.commands.add_note import NoteOnCode
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.revoke import RevokeCode
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.ports import TextDraft
from projections.definitions.tables.code_balances import code_from_named_row
from projections.storage.revocation_queue import case_ids, settle_revoked_code

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/codes/{code_id}",
    tags=["codes"],
    responses={
        400: {"model": Problem, "description": "CODE_REVOKED: nothing about it can be changed any more."},
        401: {"model": Problem},
        403: {"model": Problem},
        404: {"model": Problem},
        409: {"model": Problem, "description": "LIMIT_TOO_LOW"},
        422: {"model": Problem},
        503: {"model": Problem},
    },
)

Reason = Annotated[ReasonRequest | None, Body()]


@router.patch("", responses={412: {"model": Problem, "description": "TERMS_CHANGED"}}, summary="Change a code's terms")
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
    command = ChangeTerms(
        context=services.context(caller),
        code_id=code_id,
        changes=changes,
        note=_text(services, body.note),
        expected=None if if_match is None else expected_terms(if_match, _terms(services, code_id)),
    )
    done = services.execute(command)
    response.headers["ETag"] = tag_of(done.code.terms)
    return view_of_code(done.code, services.now())


@router.get("/terms", summary="A code's terms, with their ETag")
def terms(code_id: UUID, services: TheServices, _: MayReadCodes, response: Response) -> TermsView:
    """What a change by PUT begins with."""
    found = _terms(services, code_id)
    response.headers["ETag"] = tag_of(found)
    return TermsView.model_validate(structs.asdict(found))


@router.put(
    "/terms",
    responses={
        412: {"model": Problem, "description": "TERMS_CHANGED"},
        428: {"model": Problem, "description": "PRECONDITION_REQUIRED"},
    },
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
    command = ChangeTerms(
        context=services.context(caller),
        code_id=code_id,
        changes={name: getattr(body, name) for name in TERM_NAMES},
        note=_text(services, body.note),
        expected=expected_terms(if_match, _terms(services, code_id)),
    )
    found = services.execute(command).code.terms
    response.headers["ETag"] = tag_of(found)
    return TermsView.model_validate(structs.asdict(found))


@router.post("/pause", summary="Take no new reservations for now")
def pause(code_id: UUID, services: TheServices, caller: MayWriteCodes, body: Reason = None) -> CodeView:
    """Reservations that stand go on. Pausing a paused code changes nothing."""
    note = _text(services, body.note if body else None)
    return _done(services, PauseCode(context=services.context(caller), code_id=code_id, note=note))


@router.post("/resume", summary="Take new reservations again")
def resume(code_id: UUID, services: TheServices, caller: MayWriteCodes, body: Reason = None) -> CodeView:
    """The end of a pause. Resuming a code that is not paused changes nothing."""
    note = _text(services, body.note if body else None)
    return _done(services, ResumeCode(context=services.context(caller), code_id=code_id, note=note))


@router.post("/revoke", summary="Take no new reservations for ever")
def revoke(code_id: UUID, services: TheServices, caller: MayWriteCodes, body: Reason = None) -> CodeView:
    """What is held is given back, what is in doubt becomes a case; what was sent stays.

    `reserved` in the answer is what is being sent right now, or waits for a person; of a code that held thousands also
    what is given back within the next minutes.
    """
    return revoke_code(services, code_id, caller, _text(services, body.note if body else None))


@router.post("/notes", summary="Note something about a code")
def add_note(code_id: UUID, body: NoteRequest, services: TheServices, caller: MayWriteCodes) -> CodeView:
    """It stands in the code's history; its text is kept sealed in the vault."""
    note = services.storage.vault.seal_text(body.note, services.new_id())
    return _done(services, NoteOnCode(context=services.context(caller), code_id=code_id, note=note))


def revoke_code(services: Services, code_id: UUID, caller: Caller, note: TextDraft | None) -> CodeView:
    """Revoke a code, and settle what it holds as far as one request should reach; the sweep does the rest.

    Raises:
        ApplicationError: NOT_FOUND, or the database is away.
    """
    context, new_id = services.context(caller), services.new_id
    command = RevokeCode(context=context, code_id=code_id, case_ids=case_ids(new_id), note=note)
    done = services.execute(command)
    if done.code.reserved:
        settle_revoked_code(services.storage.ledger.execute, code_id, lambda: services.context(caller), new_id)
    row = services.reader.find_balance(code_id)
    return view_of_code(code_from_named_row(row) if row else done.code, services.now())


def _terms(services: Services, code_id: UUID) -> CodeTerms:
    row = services.reader.find_balance(code_id)
    if row is None:
        raise ApplicationError("NOT_FOUND")
    return code_from_named_row(row).terms


def _done(services: Services, command: CodeCommand) -> CodeView:
    done = services.execute(command)
    return view_of_code(done.code, services.now())


def _text(services: Services, note: str | None) -> TextDraft | None:
    return services.storage.vault.seal_text(note, services.new_id()) if note else None
