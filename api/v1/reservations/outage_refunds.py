"""Refunds after an outage over HTTP: list the affected reservations and, on request, refund them batch by batch."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from msgspec.structs import asdict
from pydantic import BaseModel, Field

from api.errors import malformed
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayRefund, TheServices
from api.http.openapi import OF_APPROVALS, PROTECTED, problem_responses
from api.schemas.resources import StrictRequest
from api.schemas.timestamps import Timestamp
from api.use_cases.refund_outage import OutageWindow, find_affected, refund_affected

LISTED_MAX = 1000
"""Most reservations that one response lists, and that one request refunds."""

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/refunds",
    tags=["refunds"],
    responses=PROTECTED,
)


class OutageRequest(StrictRequest):
    """Time window and cause of an outage. Nothing changes unless `apply` is true."""

    from_: Annotated[Timestamp, Field(alias="from")]
    to: Timestamp
    include_sent: bool = Field(
        default=False, description="Whether to include invitations that were sent and never accepted."
    )
    channel: Annotated[str | None, Field(max_length=200)] = None
    server: Annotated[str | None, Field(max_length=200, description="Only attempts on this server, as HOST:PORT.")] = (
        None
    )
    apply: bool = False


class AffectedView(BaseModel):
    """A reservation that the outage affected."""

    reservation_id: UUID
    code_id: UUID
    state: str
    at: datetime
    channel: str | None
    server: str | None


class OutageView(BaseModel):
    """Affected reservations, and the result of their refunds."""

    applied: bool
    correlation_id: UUID | None
    count: int
    refunded: int
    remaining: int
    found: list[AffectedView]


@router.post("", responses=problem_responses(*OF_APPROVALS), summary="Preview or apply the refunds after an outage")
def refunds(body: OutageRequest, services: TheServices, caller: MayRefund) -> OutageView:
    """Refunds each affected reservation once, under one correlation id. Skips those settled since, or being sent.

    One request refunds up to 1,000 reservations. Repeat it until `remaining` is 0.
    """
    if body.from_ >= body.to:
        raise malformed("body.from", "must be earlier than `to`")
    window = OutageWindow(start=body.from_, end=body.to, channel=body.channel, server=body.server)
    affected = list(find_affected(services.reader, window, include_sent=body.include_sent))
    listed, refunded = affected[:LISTED_MAX], 0
    correlation_id = services.new_id() if body.apply else None
    if correlation_id is not None:
        request = window.as_request(include_sent=body.include_sent)
        refunded = refund_affected(services, caller, listed, correlation_id, request, uses=len(affected))
    return OutageView(
        applied=body.apply,
        correlation_id=correlation_id,
        count=len(affected),
        refunded=refunded,
        remaining=len(affected) - len(listed) if body.apply else len(affected),
        found=[AffectedView(**asdict(reservation)) for reservation in listed],
    )
