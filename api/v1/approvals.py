"""Proposals that wait for the approval of a second person: read only, because only people approve, on the pages."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.http.blocking_route import BlockingRoute
from api.http.dependencies import MayReadCases, TheServices
from api.http.openapi import PROTECTED, problem_responses
from api.http.pagination import Page, format_cursor, parse_cursor
from api.schemas.approvals import ApprovalPage, ApprovalView
from api.schemas.numbers import IN_DIGITS
from api.use_cases.approvals.decide import find_proposal
from projections.config.approvals import KINDS
from projections.repositories.approvals import ApprovalRepository

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/approvals",
    tags=["approvals"],
    responses=PROTECTED,
)

PAGE_MAX = 100


@router.get("", summary="List proposals, oldest first")
def list_approvals(
    services: TheServices,
    _: MayReadCases,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX), IN_DIGITS] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    closed: Annotated[bool, Query(description="Whether closed proposals are included.")] = False,  # noqa: FBT002 - a query parameter
) -> ApprovalPage:
    """Returns one page of open proposals, with `closed` also of closed ones. `next` is the cursor of the next page."""
    repository, now = ApprovalRepository(services.storage), services.now()
    rows = repository.list_page(parse_cursor(cursor), limit + 1, "oldest", KINDS, is_open=not closed)
    page = Page.of(rows, limit, lambda row: format_cursor(row.proposed_at, row.approval_id))
    return ApprovalPage(approvals=[ApprovalView.of(row, now) for row in page.rows], next=page.next)


@router.get("/{approval_id}", responses=problem_responses("NOT_FOUND"), summary="Get a proposal")
def get(approval_id: UUID, services: TheServices, _: MayReadCases) -> ApprovalView:
    """Returns one proposal. Members of staff approve it on its page; an API key cannot."""
    return ApprovalView.of(find_proposal(services, approval_id), services.now())
