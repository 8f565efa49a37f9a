"""Cases: the manual review queue, for staff and their tools."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayReadCases, TheServices
from api.http.offered_reads import offer_as_tool
from api.http.openapi import PROTECTED
from api.http.pagination import Page, format_cursor, parse_cursor
from api.schemas.numbers import IN_DIGITS
from api.schemas.resources import CasePage, CaseView

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/cases",
    tags=["cases"],
    responses=PROTECTED,
)

PAGE_MAX = 200


@router.get("", summary="List cases, oldest first")
@offer_as_tool()
def list_cases(
    services: TheServices,
    _: MayReadCases,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX), IN_DIGITS] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    closed: Annotated[bool, Query(description="Whether closed cases are included.")] = False,  # noqa: FBT002 - a query parameter
) -> CasePage:
    """Returns one page of open cases, with `closed` also of closed ones. `next` is the cursor of the next page."""
    after = parse_cursor(cursor)
    rows = services.reader.list_cases(after, limit + 1, closed_too=closed)
    page = Page.of(rows, limit, lambda row: format_cursor(row.opened_at, row.case_id))
    return CasePage(cases=[CaseView.model_validate(row._asdict()) for row in page.rows], next=page.next)
