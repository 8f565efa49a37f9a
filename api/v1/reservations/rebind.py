"""Move access to another group: the public route, and that of staff and integrators."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayWriteReservations, TheLanguage, TheServices, caller_of
from api.http.openapi import PROTECTED, problem_responses
from api.schemas.corrections import RebindRequest
from api.schemas.resources import RedemptionView, StaffRebindRequest
from api.use_cases import reservation_actions
from api.use_cases.redeem import rebind_own_access
from api.v1.public.redeem import json_response, redemption_response, view
from domain.commands.access.rebind import RequestRebind

router = APIRouter(route_class=BlockingRoute, prefix="/api/v1")


@router.post(
    "/public/rebind",
    tags=["public"],
    status_code=202,
    response_model=RedemptionView,
    responses={
        200: {
            "model": RedemptionView,
            "description": "The access grant is being moved, or was moved to this group before.",
        },
        **problem_responses("MALFORMED", "EMAIL_INVALID", "CODE_MALFORMED", RequestRebind, "UNAVAILABLE"),
    },
    summary="Move an access grant to another group",
)
async def rebind(body: RebindRequest, request: Request, services: TheServices, language: TheLanguage) -> Response:
    """Consumes no use and keeps the expiry date. The former access is removed when the new invitation is sent.

    Requires the `correction_token` of the reservation. Without it, support can move the access grant.
    """
    caller = caller_of(request.scope)
    redemption = await rebind_own_access(
        services, caller, body.email, body.code, body.group, token=body.correction_token, language=language
    )
    return redemption_response(redemption, language)


@router.post(
    "/reservations/{reservation_id}/rebind",
    tags=["reservations"],
    response_model=RedemptionView,
    responses={**PROTECTED, **problem_responses(reservation_actions.rebind)},
    summary="Move the access grant of a reservation to another group",
)
def rebind_by_staff(
    reservation_id: UUID,
    body: StaffRebindRequest,
    services: TheServices,
    language: TheLanguage,
    caller: MayWriteReservations,
) -> Response:
    """Returns the new reservation. Limits on the number of moves and on their time do not apply to staff."""
    result = reservation_actions.rebind(services, caller, reservation_id, body.group, note=body.note or "")
    return json_response(view(result.require_reservation(), language))
