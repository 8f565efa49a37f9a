"""Redeeming by API key: what the public route does, for a shop or a bot that acts for many people."""

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response

from api.http.dependencies import MayRedeem, TheLanguage, TheServices
from api.http.openapi import PROTECTED
from api.schemas.resources import RedeemRequest, RedemptionView
from api.use_cases.redeem import redeem
from api.v1.public.redeem import REDEEM_PROBLEMS, redemption_response

router = APIRouter(prefix="/api/v1/redemptions", tags=["redemptions"])


@router.post(
    "",
    status_code=202,
    response_model=RedemptionView,
    responses={
        200: {"model": RedemptionView, "description": "They have this reservation already."},
        **PROTECTED,
        **REDEEM_PROBLEMS,
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
    redemption = await redeem(
        services, caller, body.email, body.code, language=language, again=body.again, key=idempotency_key
    )
    return redemption_response(redemption, language)
