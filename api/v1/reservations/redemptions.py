"""Redeem with an API key: the public route, for a shop or a bot that acts for many recipients."""

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response

from api.http.blocking_route import JsonRoute
from api.http.dependencies import MayRedeem, TheLanguage, TheServices
from api.http.openapi import PROTECTED
from api.schemas.resources import RedeemOnBehalfRequest, RedemptionView
from api.use_cases.redeem import redeem
from api.v1.public.redeem import REDEEM_PROBLEMS, redemption_response

router = APIRouter(route_class=JsonRoute, prefix="/api/v1/redemptions", tags=["redemptions"])


@router.post(
    "",
    status_code=202,
    response_model=RedemptionView,
    responses={
        200: {"model": RedemptionView, "description": "This email address has this reservation already."},
        **PROTECTED,
        **REDEEM_PROBLEMS,
    },
    summary="Redeem a code on behalf of a recipient",
)
async def redeem_for(
    body: RedeemOnBehalfRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayRedeem,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=255,
            description="Any text; for 7 days, the same key and body return the same response.",
        ),
    ] = None,
) -> Response:
    """Works like the public route, with an API key as the caller. `Idempotency-Key` is scoped to the API key."""
    redemption = await redeem(
        services, caller, body.email, body.code, language=language, again=body.again, key=idempotency_key
    )
    return redemption_response(redemption, language)
