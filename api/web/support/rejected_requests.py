"""The list of rejected requests of all codes or of the codes of a campaign, by time range and reason."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from api.i18n.catalogs import translator
from api.i18n.messages import refusal_title
from api.schemas.numbers import IN_DIGITS
from api.schemas.parsing import parse_filter_time, parse_id, parse_optional
from api.web.list_order import SortedBy
from api.web.masking import mask_if_known
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from api.web.support.statement_query import SKIP_MAX
from api.web.support.time_ranges import TIME_RANGES, TimeRangeName, find_start
from domain.ports import Language
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.dashboard_queries import (
    DashboardReader,
    ListedRejection,
    RangeTooLargeError,
    RejectionFilter,
)
from projections.read_models.support_queries import RejectedRequest, RejectedRequestOfRecipient, RejectionPlace
from projections.storage.bootstrap import LedgerStore

PER_PAGE: Final = 50
BY_TIME: Final = SortedBy(column="at", default="newest")
SHOWN_MAX: Final = 20
"""Rejected requests on one page of a code or a person."""
CAMPAIGNS_OFFERED: Final = 100
REASON_LENGTH_MAX: Final = 60
REJECTIONS_COUNTED_MAX: Final = 10_000
"""Most rejected requests that a page counts by reason."""
REJECTIONS_RANGE: Final[TimeRangeName] = "month"
"""Time range of the numbers on the page of a campaign."""

router = APIRouter(prefix="/support/refusals", route_class=SupportRoute)


async def read_place(
    place: Annotated[str, Query(max_length=40)] = "",
    skip: Annotated[int, Query(ge=0, le=SKIP_MAX), IN_DIGITS] = 0,
) -> RejectionPlace | None:
    """Return where a page of the list begins; None for the first page.

    Raises:
        ApplicationError: MALFORMED, the time can't be read.
    """
    at = parse_optional(parse_filter_time, "place", place)
    return None if at is None else RejectionPlace(at, skip)


@router.get("")
def show_rejections(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    by: Annotated[SortedBy, Depends(BY_TIME.choose)],
    window: Annotated[TimeRangeName, Query()] = REJECTIONS_RANGE,
    reason: Annotated[str, Query(max_length=REASON_LENGTH_MAX)] = "",
    campaign: Annotated[str, Query(max_length=36)] = "",
    place: Annotated[RejectionPlace | None, Depends(read_place)] = None,
) -> Response:
    """Show rejected requests by their time, with their codes, campaigns and recipients."""
    now, language, storage = support.services.now(), get_language(request), support.services.storage
    campaign_id, since = parse_optional(parse_id, "campaign", campaign), find_start(window, now)
    start = place or RejectionPlace(now if by.order == "newest" else since)
    since, until = (since, start.until) if by.order == "newest" else (max(since, start.until), now)
    rejections = RejectionFilter(since, until, reason or None, campaign_id)
    sorted_by = by.keep({"window": window, **_name_filters(reason=reason, campaign=campaign_id)})
    counts = count_rejections(storage, now, campaign_id, window)
    try:
        listed = DashboardReader(storage).list_rejections(rejections, start.skip, PER_PAGE + 1, by.order)
    except RangeTooLargeError:
        listed = None
    rows = (listed or [])[:PER_PAGE]
    return support_page(
        request,
        "rejected_requests.html",
        staff,
        window=window,
        windows={name: url_of_rejections(name, reason=reason, campaign=campaign_id) for name in TIME_RANGES},
        reason=reason,
        reasons=[(code, refusal_title(code, language), count) for code, count in _with_chosen(counts or [], reason)],
        counted_max=REJECTIONS_COUNTED_MAX
        if sum(count for _, count in counts or []) == REJECTIONS_COUNTED_MAX
        else None,
        campaign_id=campaign_id,
        campaigns=CampaignReader(storage).list_newest_names(CAMPAIGNS_OFFERED, campaign_id),
        is_too_large=listed is None or counts is None,
        by=sorted_by,
        is_first=place is None,
        rows=[describe_rejection(language, **{**row._asdict(), "address": mask_if_known(row.address)}) for row in rows],
        next=find_next_place(rows, start) if len(listed or []) > PER_PAGE else None,
    )


def count_rejections(
    storage: LedgerStore, now: datetime, campaign_id: UUID | None, window: TimeRangeName = REJECTIONS_RANGE
) -> list[tuple[str, int]] | None:
    """Return how many requests were rejected in a time range, by reason; None if it holds too many to count."""
    try:
        return DashboardReader(storage).count_rejections(find_start(window, now), campaign_id, REJECTIONS_COUNTED_MAX)
    except RangeTooLargeError:
        return None


def url_of_rejections(window: TimeRangeName, **filters: object) -> str:
    """Return the URL of the list of rejected requests with the filters that are not empty."""
    return f"/support/refusals?{urlencode({'window': window, **_name_filters(**filters)})}"


def _name_filters(**filters: object) -> dict[str, str]:
    return {name: str(value) for name, value in filters.items() if value}


def describe_rejection(language: Language, reason: str, **facts: Any) -> dict[str, Any]:
    """Return a rejected request for the macro `tries`: its reason and the limit that rejected it, in a language.

    Args:
        language: Of the page.
        reason: Code of the refusal.
        facts: Time, code, campaign and masked address, as far as the page shows them.
    """
    t = translator(language)
    limit = t(key) if t.knows(key := f"page.support.limit_of.{reason}") else None
    return {**facts, "reason": refusal_title(reason, language), "limit": limit}


def show_section(
    rejected_at: RejectionPlace | None,
    now: datetime,
    read: Callable[[RejectionPlace, int], Sequence[RejectedRequest] | Sequence[RejectedRequestOfRecipient]],
    language: Language,
) -> dict[str, Any]:
    """Return what the section of rejected requests on the page of a code or a person shows.

    Args:
        rejected_at: Where its page begins; None for the first page.
        now: Requests after this time are not shown.
        read: Reads a number of requests, newest first.
        language: Of the page.
    """
    is_first = rejected_at is None or rejected_at.until > now
    place = RejectionPlace(now) if rejected_at is None or rejected_at.until > now else rejected_at
    listed = read(place, SHOWN_MAX + 1)
    is_more = len(listed) > SHOWN_MAX
    rows = listed[:SHOWN_MAX]
    next_place = find_next_place(rows, place) if is_more else None
    return {
        "rejected_attempts": [describe_rejection(language, **row._asdict()) for row in rows],
        "rejected_count": str(len(rows)) if is_first and not is_more else f"{SHOWN_MAX}+",
        "is_first_refused": is_first,
        "next_refused": next_place and {"refused_until": next_place.until.isoformat(), "refused_skip": next_place.skip},
    }


def find_next_place(
    rows: Sequence[ListedRejection | RejectedRequest | RejectedRequestOfRecipient], place: RejectionPlace
) -> RejectionPlace:
    """Return where the page after these rows begins; it skips those with its time that were shown."""
    last = rows[-1].at
    shown = sum(row.at == last for row in rows)
    return RejectionPlace(last, shown + (place.skip if last == place.until else 0))


def _with_chosen(counts: list[tuple[str, int]], reason: str) -> list[tuple[str, int]]:
    return counts if not reason or reason in dict(counts) else [*counts, (reason, 0)]
