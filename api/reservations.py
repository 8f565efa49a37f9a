"""What staff and integrators may do to one reservation."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from api.deps import Support, TheLanguage, TheServices
from api.redeem import json_response, view
from api.schemas import Problem, RedemptionView, RefundRequest
from domain.decisions.refund import RefundReservation

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
