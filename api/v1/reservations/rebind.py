"""Moving an access to another group: the public route, and that of staff and integrators."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayWriteReservations, TheLanguage, TheServices, caller_of
from api.schemas.corrections import RebindRequest
from api.schemas.resources import Problem, RedemptionView, StaffRebindRequest
from api.use_cases.rebind import rebind_by_person
from api.use_cases.rebind import rebind_by_staff as moved_by_staff
from api.v1.public.redeem import json_response, redemption_response, view

router = APIRouter(route_class=BlockingRoute, prefix="/api/v1")

REFUSALS = "REBIND_NOT_POSSIBLE, CODE_REVOKED, CODE_PAUSED, GRANT_EXPIRED"
_AWAY: dict[int | str, dict[str, Any]] = {503: {"model": Problem, "description": "UNAVAILABLE or OVERLOADED"}}


@router.post(
    "/public/rebind",
    tags=["public"],
    status_code=202,
    response_model=RedemptionView,
    responses={
        200: {"model": RedemptionView, "description": "It is being moved, or was moved to this group, already."},
        400: {"model": Problem, "description": f"CODE_INVALID, CORRECTION_TOKEN_REQUIRED, {REFUSALS}."},
        422: {"model": Problem, "description": "MALFORMED, EMAIL_INVALID, CODE_MALFORMED."},
        429: {"model": Problem, "description": "RATE_LIMITED, with Retry-After."},
        **_AWAY,
    },
    summary="Move an access to another group",
)
async def rebind(body: RebindRequest, request: Request, services: TheServices, language: TheLanguage) -> Response:
    """No use is taken, and the access ends when it would have ended. The former access ends with the new invitation.

    It needs the `correction_token` of the reservation whose access is moved; without it, support can move the access.
    """
    caller = caller_of(request.scope)
    found = await rebind_by_person(
        services, body.email, body.code, body.group, token=body.correction_token, language=language, caller=caller
    )
    return redemption_response(found, language)


@router.post(
    "/reservations/{reservation_id}/rebind",
    tags=["reservations"],
    response_model=RedemptionView,
    responses={
        400: {"model": Problem, "description": REFUSALS},
        401: {"model": Problem},
        403: {"model": Problem},
        404: {"model": Problem},
        422: {"model": Problem},
        **_AWAY,
    },
    summary="Move the access of a reservation to another group",
)
def rebind_by_staff(
    reservation_id: UUID,
    body: StaffRebindRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
) -> Response:
    """The answer is the new reservation. Neither how often nor how late it is moved binds staff."""
    note = services.storage.vault.seal_text(body.note, services.new_id(), reservation_id) if body.note else None
    found = moved_by_staff(services, reservation_id, body.group, caller=caller, note=note)
    return json_response(view(found.reservation, language))
