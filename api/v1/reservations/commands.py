"""What staff and integrators may do to one reservation."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body
from fastapi.responses import Response

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayRefund, MayWriteReservations, TheLanguage, TheServices
from api.schemas.resources import (
    BounceRequest,
    NoteRequest,
    Problem,
    ReasonRequest,
    RedemptionView,
    RefundRequest,
    ResolveRequest,
    StaffCorrectionRequest,
)
from api.use_cases.services import Services
from api.v1.public.redeem import json_response, view
from domain.commands.add_note import NoteOnReservation
from domain.commands.delivery.record_bounce import RecordBounce
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.refund import RefundReservation
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.resolve_case import ResolveReservation
from domain.ports import TextDraft

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/reservations",
    tags=["reservations"],
    responses={
        401: {"model": Problem},
        403: {"model": Problem},
        422: {"model": Problem},
        503: {"model": Problem},
    },
)


Reason = Annotated[ReasonRequest | None, Body()]


@router.post(
    "/{reservation_id}/refund",
    response_model=RedemptionView,
    responses={
        404: {"model": Problem},
        409: {"model": Problem, "description": "RESERVATION_NOT_REFUNDABLE"},
        422: {"model": Problem, "description": "MALFORMED or ACCESS_CHOICE_REQUIRED"},
    },
    summary="Give one use back",
)
def refund(
    reservation_id: UUID, body: RefundRequest, services: TheServices, language: TheLanguage, caller: MayRefund
) -> Response:
    """Refund a reservation that is held (not being sent, never unknown) or was sent.

    If the invitation was accepted, `revoke_access` must say whether the person keeps the access.
    """
    note = services.storage.vault.seal_text(body.note, services.new_id(), reservation_id)
    command = RefundReservation(
        context=services.context(caller),
        reservation_id=reservation_id,
        cause="staff",
        note=note,
        revoke_access=body.revoke_access,
    )
    done = services.execute(command)
    return json_response(view(done.require_reservation(), language))


@router.post(
    "/{reservation_id}/cancel",
    response_model=RedemptionView,
    responses={404: {"model": Problem}, 409: {"model": Problem, "description": "RESERVATION_NOT_REFUNDABLE"}},
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
    note = _text(services, body, reservation_id)
    command = CancelReservation(context=services.context(caller), reservation_id=reservation_id, note=note)
    done = services.execute(command)
    return json_response(view(done.require_reservation(), language))


@router.post(
    "/{reservation_id}/resend",
    response_model=RedemptionView,
    responses={404: {"model": Problem}, 409: {"model": Problem, "description": "RESERVATION_NOT_RESENDABLE"}},
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
    note = _text(services, body, reservation_id)
    command = RequestResend(context=services.context(caller), reservation_id=reservation_id, note=note)
    done = services.execute(command)
    services.dispatcher.dispatch(reservation_id)
    return json_response(view(done.require_reservation(), language))


@router.post(
    "/{reservation_id}/correct-recipient",
    response_model=RedemptionView,
    responses={
        400: {"model": Problem, "description": "RECIPIENT_NOT_CORRECTABLE, CODE_REVOKED"},
        404: {"model": Problem},
    },
    summary="Move a use to the right address",
)
async def correct_recipient(
    reservation_id: UUID,
    body: StaffCorrectionRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
) -> Response:
    """The answer is the new reservation; the old letter's link is dead."""
    note = _text(services, body, reservation_id)
    found = await services.correct(reservation_id, body.email, caller=caller, note=note)
    return json_response(view(found.reservation, language))


@router.post(
    "/{reservation_id}/notes",
    response_model=RedemptionView,
    responses={404: {"model": Problem}},
    summary="Note something about a reservation",
)
def add_note(
    reservation_id: UUID, body: NoteRequest, services: TheServices, language: TheLanguage, caller: MayWriteReservations
) -> Response:
    """It stands in the history; its text is kept sealed in the vault."""
    note = services.storage.vault.seal_text(body.note, services.new_id(), reservation_id)
    command = NoteOnReservation(context=services.context(caller), reservation_id=reservation_id, note=note)
    done = services.execute(command)
    return json_response(view(done.require_reservation(), language))


@router.post(
    "/{reservation_id}/resolve",
    response_model=RedemptionView,
    responses={
        404: {"model": Problem},
        409: {"model": Problem, "description": "RESERVATION_NOT_RESOLVABLE"},
        422: {"model": Problem, "description": "MALFORMED or ACCESS_CHOICE_REQUIRED"},
    },
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
    command = ResolveReservation(
        context=services.context(caller),
        reservation_id=reservation_id,
        resolution=body.as_,
        case_id=services.new_id(),
        note=services.storage.vault.seal_text(body.note, services.new_id(), reservation_id),
        revoke_access=body.revoke_access,
    )
    item = (services.execute(command)).require_reservation()
    if body.as_ == "retry":
        services.dispatcher.dispatch(reservation_id)
    return json_response(view(item, language))


@router.post(
    "/{reservation_id}/bounce",
    response_model=RedemptionView,
    responses={404: {"model": Problem}, 409: {"model": Problem, "description": "NOTHING_SENT"}},
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
    reply = services.storage.vault.seal_text(body.reply, services.new_id(), reservation_id) if body.reply else None
    command = RecordBounce(
        context=services.context(caller),
        reservation_id=reservation_id,
        delivery=body.delivery,
        reason=body.reason,
        case_id=services.new_id(),
        reply_code=body.reply_code,
        reply=reply,
        occurred_at=body.occurred_at,
    )
    done = services.execute(command)
    return json_response(view(done.require_reservation(), language))


def _text(services: Services, body: ReasonRequest | None, reservation_id: UUID) -> TextDraft | None:
    if body is None or not body.note:
        return None
    return services.storage.vault.seal_text(body.note, services.new_id(), reservation_id)
