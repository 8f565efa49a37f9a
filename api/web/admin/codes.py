"""The list of codes, newest first, by state, group, campaign, kind and day of issue."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Annotated, Any, Final, get_args
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from api.http.pagination import SCANNED_MAX, count_list, fill_page, format_cursor
from api.schemas.parsing import InvalidInputError, parse_filter_time, parse_id, parse_optional
from api.use_cases.administration.chosen_codes import find_start, is_past_range, list_rows, matches
from api.use_cases.approvals.requests import CodeConditions
from api.web.admin.context import AdminContextDep, admin_page
from api.web.admin.issue import CAMPAIGNS_OFFERED
from api.web.forms import NAME_LENGTH_MAX
from api.web.list_order import SortedBy
from api.web.rendering import time_in_field
from api.web.staff_auth.rendering import get_language
from api.web.staff_auth.sessions import Admin, SupportRoute
from api.web.support.charts import BalanceBar, draw_balance_bar
from api.web.support.view_models import name_code_state
from domain.model.redeem_code import CodeState, RedeemCode
from domain.values.timestamps import clamped
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.pagination import ListCursor
from projections.repositories.issue_batches import ChangeKind

PER_PAGE: Final = 25
BY_ISSUE: Final = SortedBy(column="issued", default="newest")
CELLS_MAX: Final = 5
"""Cells of a bar in a list; more would make it too small to read."""
STATES: Final = get_args(CodeState)

router = APIRouter(prefix="/admin/codes", route_class=SupportRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeListFilter(CodeConditions):
    """The conditions of a list of codes, as its URL has them."""

    def conditions(self) -> CodeConditions:
        """Return them without the URL."""
        return CodeConditions(**{each.name: getattr(self, each.name) for each in fields(self)})

    def fields(self) -> dict[str, str]:
        """Return the conditions as fields of a URL."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: time_in_field(value) if isinstance(value, datetime) else str(value)
            for name, value in named.items()
            if value
        }

    def query(self) -> str:
        """Return the query of an address with this filter."""
        return urlencode(self.fields())


async def parse_filter(
    state: Annotated[str, Query(max_length=20)] = "",
    group: Annotated[str, Query(max_length=NAME_LENGTH_MAX)] = "",
    campaign: Annotated[str, Query(max_length=36)] = "",
    kind: Annotated[str, Query(max_length=10)] = "",
    since: Annotated[str, Query(max_length=30)] = "",
    until: Annotated[str, Query(max_length=30)] = "",
) -> CodeListFilter:
    """Read the filter of a URL; malformed values are ignored."""
    return CodeListFilter(
        state=state if state in STATES else "",
        group=group.strip(),
        campaign=_parse_campaign(campaign),
        kind=kind if kind in {"bound", "open"} else "",
        since=_parse_bound(since),
        until=_parse_bound(until, is_end=True),
    )


CodeFilterDep = Annotated[CodeListFilter, Depends(parse_filter)]


@router.get("")
def list_codes(
    request: Request,
    admin: AdminContextDep,
    staff: Admin,
    code_filter: CodeFilterDep,
    by: Annotated[SortedBy, Depends(BY_ISSUE.choose)],
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Show one page."""
    language, now = get_language(request), admin.services.now()

    def read(place: ListCursor, number: int) -> list[dict[str, Any]]:
        rows = list_rows(admin.codes, code_filter, place, number, by.order)
        return list(takewhile(lambda row: not is_past_range(code_filter, row["issued_at"], by.order), rows))

    def pick(row: dict[str, Any]) -> tuple[RedeemCode, str, BalanceBar, str] | None:
        if not matches(code_filter, code := code_from_named_row(row), now):
            return None
        return code, row["hint"], draw_balance_bar(code, CELLS_MAX), name_code_state(code, now, language)

    start = find_start(code_filter, by.order) if cursor is None else by.find_place(cursor)
    page = fill_page(read, pick, lambda row: (row["issued_at"], row["code_id"]), start, PER_PAGE)
    return admin_page(
        request,
        "codes.html",
        staff,
        by=by.keep(code_filter.fields()),
        code_filter=code_filter,
        states=STATES,
        campaigns=CampaignReader(admin.services.storage).list_newest_names(CAMPAIGNS_OFFERED, code_filter.campaign),
        is_first=cursor is None,
        codes=page.rows,
        total=count_list(
            admin.services.storage,
            "code_list",
            page,
            is_first=cursor is None,
            is_filtered=bool(code_filter.query()),
        ),
        next=page.next and format_cursor(*page.next),
        scanned=SCANNED_MAX,
        changes=get_args(ChangeKind),
    )


def _parse_campaign(text: str) -> UUID | None:
    try:
        return parse_optional(parse_id, "campaign", text)
    except InvalidInputError:
        return None


def _parse_bound(text: str, *, is_end: bool = False) -> datetime | None:
    """Return a bound of a time range: a time, or that of a day in UTC, which a page without scripts sends."""
    try:
        time = parse_optional(parse_filter_time, "day", text)
    except InvalidInputError:
        return None
    is_day = len(text) <= len("2027-01-31")
    return clamped(time + timedelta(days=1)) if time is not None and is_day and is_end else time
