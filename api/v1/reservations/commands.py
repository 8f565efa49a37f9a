"""What staff and integrators may do to one reservation."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body
from fastapi.responses import Response

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayRefund, MayWriteReservations, TheLanguage, TheServices
from api.http.openapi import PROTECTED, problem_responses
from api.schemas.parsing import parse_email
from api.schemas.resources import (
    BounceRequest,
    NoteRequest,
    ReasonRequest,
    RedemptionView,
    RefundRequest,
    ResolveRequest,
    StaffCorrectionRequest,
)
from api.use_cases import reservation_actions
from api.v1.public.redeem import json_response, view
from domain.command_bus import CommandResult
from domain.ports import Language

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/reservations",
    tags=["reservations"],
    responses=PROTECTED,
)


Reason = Annotated[ReasonRequest | None, Body()]


@router.post(
    "/{reservation_id}/refund",
    response_model=RedemptionView,
    responses=problem_responses("MALFORMED", reservation_actions.refund),
    summary="Give one use back",
)
def refund(
    reservation_id: UUID, body: RefundRequest, services: TheServices, language: TheLanguage, caller: MayRefund
) -> Response:
    """Refund a reservation that is held (not being sent, never unknown) or was sent.

    If the invitation was accepted, `revoke_access` must say whether the person keeps the access.
    """
    result = reservation_actions.refund(
        services, caller, reservation_id, revoke_access=body.revoke_access, note=body.note
    )
    return _view(result, language)


@router.post(
    "/{reservation_id}/cancel",
    response_model=RedemptionView,
    responses=problem_responses(reservation_actions.cancel),
    summary="Take a reservation back before anything is sent",
)
def cancel(
    reservation_id: UUID,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
    body: Reason = None,
) -> Response:
    """As a refund, but never of a use that counts."""
    result = reservation_actions.cancel(services, caller, reservation_id, note=_note(body))
    return _view(result, language)


@router.post(
    "/{reservation_id}/resend",
    response_model=RedemptionView,
    responses=problem_responses(reservation_actions.resend),
    summary="Send an invitation once more",
)
def resend(
    reservation_id: UUID,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
    body: Reason = None,
) -> Response:
    """A new delivery with a letter and a link of its own. It takes no further use; if it fails it becomes a case."""
    result = reservation_actions.resend(services, caller, reservation_id, note=_note(body))
    return _view(result, language)


@router.post(
    "/{reservation_id}/correct-recipient",
    response_model=RedemptionView,
    responses=problem_responses("RECIPIENT_NOT_CORRECTABLE", "CODE_REVOKED", "NOT_FOUND", "MALFORMED", "EMAIL_INVALID"),
    summary="Move a use to the right address",
)
def correct_recipient(
    reservation_id: UUID,
    body: StaffCorrectionRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
) -> Response:
    """The answer is the new reservation; the old letter's link is dead."""
    email = parse_email(body.email)
    result = reservation_actions.correct_recipient(services, caller, reservation_id, email, note=_note(body))
    return _view(result, language)


@router.post(
    "/{reservation_id}/notes",
    response_model=RedemptionView,
    responses=problem_responses(reservation_actions.add_note),
    summary="Note something about a reservation",
)
def add_note(
    reservation_id: UUID, body: NoteRequest, services: TheServices, language: TheLanguage, caller: MayWriteReservations
) -> Response:
    """It stands in the history; its text is kept sealed in the vault."""
    result = reservation_actions.add_note(services, caller, reservation_id, note=body.note)
    return _view(result, language)


@router.post(
    "/{reservation_id}/resolve",
    response_model=RedemptionView,
    responses=problem_responses("MALFORMED", reservation_actions.resolve),
    summary="Decide what only a person may decide",
)
def resolve(
    reservation_id: UUID,
    body: ResolveRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
) -> Response:
    """End a case, or a doubt that is not parked yet: it counts as sent, is given back, or is tried on."""
    result = reservation_actions.resolve(
        services, caller, reservation_id, body.as_, revoke_access=body.revoke_access, note=body.note
    )
    return _view(result, language)


@router.post(
    "/{reservation_id}/bounce",
    response_model=RedemptionView,
    responses=problem_responses("MALFORMED", reservation_actions.record_bounce),
    summary="Report an invitation that came back",
)
def bounce(
    reservation_id: UUID,
    body: BounceRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
) -> Response:
    """Once per delivery. A sent one becomes a case; nothing is given back by itself."""
    result = reservation_actions.record_bounce(
        services,
        caller,
        reservation_id,
        delivery=body.delivery,
        reason=body.reason,
        reply_code=body.reply_code,
        reply=body.reply or "",
        occurred_at=body.occurred_at,
    )
    return _view(result, language)


def _view(result: CommandResult, language: Language) -> Response:
    return json_response(view(result.require_reservation(), language))


def _note(body: ReasonRequest | None) -> str:
    return "" if body is None else body.note or ""
