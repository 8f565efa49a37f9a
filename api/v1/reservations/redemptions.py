"""Redeeming by API key: what the public route does, for a shop or a bot that acts for many people."""

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response

from api.http.dependencies import MayRedeem, TheLanguage, TheServices
from api.schemas.resources import Problem, RedeemRequest, RedemptionView
from api.v1.public.redeem import REFUSALS, redemption_response

router = APIRouter(prefix="/api/v1/redemptions", tags=["redemptions"])


@router.post(
    "",
    status_code=202,
    response_model=RedemptionView,
    responses={
        200: {"model": RedemptionView, "description": "They have this reservation already."},
        401: {"model": Problem},
        403: {"model": Problem},
        **REFUSALS,
    },
    summary="Redeem a code for somebody",
)
async def redeem_for(
    body: RedeemRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayRedeem,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=255, description="Of your choice, for 7 days: the same key and body give the same answer."),
    ] = None,
) -> Response:
    """As the public route, with the key as who asks. `Idempotency-Key` is scoped to the API key."""
    found = await services.redeem(
        body.email, body.code, language=language, caller=caller, again=body.again, key=idempotency_key
    )
    return redemption_response(found, language)
