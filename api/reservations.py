"""What staff and integrators may do to one reservation."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from api.deps import Support, TheLanguage, TheServices
from api.redeem import json_response, view
from api.schemas import BounceRequest, Problem, RedemptionView, RefundRequest, ResolveRequest
from domain.decisions.bounce import RecordBounce
from domain.decisions.refund import RefundReservation
from domain.decisions.resolve import ResolveReservation

router = APIRouter(
    prefix="/api/v1/reservations",
    tags=["reservations"],
    responses={
        401: {"model": Problem},
        403: {"model": Problem},
        422: {"model": Problem},
        503: {"model": Problem},
    },
)


@router.post(
    "/{reservation_id}/refund",
    response_model=RedemptionView,
    responses={404: {"model": Problem}, 409: {"model": Problem, "description": "RESERVATION_NOT_REFUNDABLE"}},
    summary="Give one use back",
)
async def refund(
    reservation_id: UUID, body: RefundRequest, services: TheServices, language: TheLanguage, caller: Support
) -> Response:
    """Refund a reservation that is held (not being sent, never unknown) or was sent."""
    note = services.storage.vault.text(body.note, services.new_id(), reservation_id)
    command = RefundReservation(
        context=services.context(caller), reservation_id=reservation_id, cause="staff", note=note
    )
    done = await services.execute(command)
    return json_response(view(done.about(), language))


@router.post(
    "/{reservation_id}/resolve",
    response_model=RedemptionView,
    responses={404: {"model": Problem}, 409: {"model": Problem, "description": "RESERVATION_NOT_RESOLVABLE"}},
    summary="Decide what only a person may decide",
)
async def resolve(
    reservation_id: UUID, body: ResolveRequest, services: TheServices, language: TheLanguage, caller: Support
) -> Response:
    """End a case, or a doubt that is not parked yet: it counts as sent, is given back, or is tried on."""
    command = ResolveReservation(
        context=services.context(caller),
        reservation_id=reservation_id,
        resolution=body.as_,
        case_id=services.new_id(),
        note=services.storage.vault.text(body.note, services.new_id(), reservation_id),
    )
    item = (await services.execute(command)).about()
    if body.as_ == "retry":
        services.dispatcher.dispatch(reservation_id)
    return json_response(view(item, language))


@router.post(
    "/{reservation_id}/bounce",
    response_model=RedemptionView,
    responses={404: {"model": Problem}, 409: {"model": Problem, "description": "NOTHING_SENT"}},
    summary="Report an invitation that came back",
)
async def bounce(
    reservation_id: UUID, body: BounceRequest, services: TheServices, language: TheLanguage, caller: Support
) -> Response:
    """Once per delivery. A sent one becomes a case; nothing is given back by itself."""
    reply = services.storage.vault.text(body.reply, services.new_id(), reservation_id) if body.reply else None
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
    done = await services.execute(command)
    return json_response(view(done.about(), language))
