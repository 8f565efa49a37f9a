"""What a redeem request, or an action of staff, would have led to at a past time."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.errors import malformed
from api.http.blocking_route import BlockingRoute, heavy_read
from api.http.dependencies import MayReadCodes, TheLanguage, TheServices
from api.http.offered_reads import offer_as_tool
from api.http.openapi import PROTECTED, problem_responses
from api.schemas.parsing import parse_email
from api.schemas.timestamps import LooseTimestamp
from api.use_cases.past_states.what_if import WhatIfAction, WhatIfAnswer, ask_action, ask_redeem, find_past
from domain.values.identifiers import TYPED_LENGTH_MAX

router = APIRouter(route_class=BlockingRoute, prefix="/api/v1/codes/{code_id}", tags=["codes"], responses=PROTECTED)


@router.get(
    "/what-if",
    responses=problem_responses("NOT_FOUND", "MALFORMED", "EMAIL_INVALID"),
    summary="Preview a request or an action as of a time",
)
@offer_as_tool()
@heavy_read()
def what_if(
    code_id: UUID,
    services: TheServices,
    language: TheLanguage,
    _: MayReadCodes,
    as_of: Annotated[LooseTimestamp | None, Query(description="The time of the question; now, if left out.")] = None,
    email: Annotated[
        str | None, Query(max_length=TYPED_LENGTH_MAX, description="Email address of a redeem request.")
    ] = None,
    reservation: Annotated[UUID | None, Query(description="Reservation of an action of staff.")] = None,
    action: Annotated[WhatIfAction | None, Query(description="That action.")] = None,
) -> WhatIfAnswer:
    """Decides a redeem request of `email`, or `action` on `reservation`, by the rules on the state of that time.

    Nothing is executed or stored, and a refusal is not counted. The response lists the events that decide the answer.
    Settings are today's, and rate limits are left out. A time in the future means that nothing else happens until then.
    """
    past = find_past(services.states, code_id, as_of or services.now())
    if email is not None and reservation is None and action is None:
        return ask_redeem(services, services.states, past, parse_email(email), language).answer
    if email is None and reservation is not None and action is not None:
        return ask_action(services, services.states, past, reservation, action, language).answer
    raise malformed("query", "must have `email`, or `reservation` and `action`")
