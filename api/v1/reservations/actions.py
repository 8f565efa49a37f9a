"""What staff and integrators may do with one reservation."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayRefund, MayWriteReservations, TheLanguage, TheReason, TheServices
from api.http.openapi import OF_APPROVALS, PROTECTED, problem_responses
from api.schemas.parsing import parse_email
from api.schemas.resources import (
    BounceRequest,
    LinkView,
    NoteRequest,
    RedemptionView,
    RefundRequest,
    ResolveRequest,
    RevealRequest,
    StaffCorrectionRequest,
)
from api.use_cases import reservation_actions
from api.v1.public.redeem import json_response, view
from domain.ports import Language
from domain.results import CommandResult

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/reservations",
    tags=["reservations"],
    responses=PROTECTED,
)


@router.post(
    "/{reservation_id}/refund",
    response_model=RedemptionView,
    responses=problem_responses("MALFORMED", reservation_actions.refund, *OF_APPROVALS),
    summary="Refund a reservation",
)
def refund(
    reservation_id: UUID, body: RefundRequest, services: TheServices, language: TheLanguage, caller: MayRefund
) -> Response:
    """Refunds a sent reservation, or a pending one that is not being sent and has no attempt with an unknown outcome.

    If the invitation was accepted, `revoke_access` must say whether the access grant is revoked.
    """
    result = reservation_actions.refund(
        services, caller, reservation_id, revoke_access=body.revoke_access, note=body.note
    )
    return _view(result, language)


@router.post(
    "/{reservation_id}/cancel",
    response_model=RedemptionView,
    responses=problem_responses(reservation_actions.cancel, *OF_APPROVALS),
    summary="Cancel a reservation before it is sent",
)
def cancel(
    reservation_id: UUID,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
    note: TheReason,
) -> Response:
    """Works like a refund, but never refunds a use that counts."""
    result = reservation_actions.cancel(services, caller, reservation_id, note=note)
    return _view(result, language)


@router.post(
    "/{reservation_id}/resend",
    response_model=RedemptionView,
    responses=problem_responses(reservation_actions.resend),
    summary="Send an invitation again",
)
def resend(
    reservation_id: UUID,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
    note: TheReason,
) -> Response:
    """Sends a new delivery with its own email and link. Consumes no further use. If it fails, it becomes a case."""
    result = reservation_actions.resend(services, caller, reservation_id, note=note)
    return _view(result, language)


@router.post(
    "/{reservation_id}/reveal-link",
    responses=problem_responses("MALFORMED", reservation_actions.record_reveal),
    summary="Reveal the link of an invitation",
)
def reveal_link(
    reservation_id: UUID, body: RevealRequest, services: TheServices, caller: MayWriteReservations
) -> LinkView:
    """Returns the link by which the recipient accepts the invitation, for when the email does not get through.

    Hand it over to the recipient only. The history and the audit log name who saw it, and the reason.
    """
    return LinkView(link=reservation_actions.reveal_link(services, caller, reservation_id, note=body.reason))


@router.post(
    "/{reservation_id}/correct-recipient",
    response_model=RedemptionView,
    responses=problem_responses("RECIPIENT_NOT_CORRECTABLE", "CODE_REVOKED", "NOT_FOUND", "MALFORMED", "EMAIL_INVALID"),
    summary="Correct the email address of a reservation",
)
def correct_recipient(
    reservation_id: UUID,
    body: StaffCorrectionRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
) -> Response:
    """Returns the new reservation. The link in the earlier email stops working."""
    email = parse_email(body.email)
    result = reservation_actions.correct_recipient(services, caller, reservation_id, email, note=body.note or "")
    return _view(result, language)


@router.post(
    "/{reservation_id}/notes",
    response_model=RedemptionView,
    responses=problem_responses(reservation_actions.add_note),
    summary="Add a note to a reservation",
)
def add_note(
    reservation_id: UUID, body: NoteRequest, services: TheServices, language: TheLanguage, caller: MayWriteReservations
) -> Response:
    """Adds a note to the history. Its text is stored encrypted in the vault."""
    result = reservation_actions.add_note(services, caller, reservation_id, note=body.note)
    return _view(result, language)


@router.post(
    "/{reservation_id}/resolve",
    response_model=RedemptionView,
    responses=problem_responses("MALFORMED", *OF_APPROVALS, reservation_actions.resolve),
    summary="Resolve a case or an unknown outcome",
)
def resolve(
    reservation_id: UUID,
    body: ResolveRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
) -> Response:
    """Counts the reservation as sent, refunds it, or sends it again. Closes its case, if there is one."""
    result = reservation_actions.resolve(
        services, caller, reservation_id, body.as_, revoke_access=body.revoke_access, note=body.note
    )
    return _view(result, language)


@router.post(
    "/{reservation_id}/bounce",
    response_model=RedemptionView,
    responses=problem_responses("MALFORMED", reservation_actions.record_bounce),
    summary="Report a bounced invitation",
)
def bounce(
    reservation_id: UUID,
    body: BounceRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
) -> Response:
    """Accepts one report per delivery. A bounce of a sent invitation opens a case; no use is refunded automatically."""
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
