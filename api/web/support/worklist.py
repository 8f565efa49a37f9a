"""The review queue, each item with its next action."""

from datetime import timedelta
from typing import Annotated, Final, get_args

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from api.http.allowed_methods import not_found
from api.http.pagination import fill_page, format_cursor
from api.web.list_order import SortedBy
from api.web.staff_auth.rendering import support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from api.web.support.view_models import build_card, build_cards
from domain.commands.case_events import CaseCause
from projections.read_models.pagination import OLDEST

PER_PAGE: Final = 25
BY_OPENING: Final = SortedBy(column="opened", default="oldest")
CAUSES: Final = get_args(CaseCause)
STUCK_AFTER_S: Final = 300
"""Seconds after which due work counts as stuck: the system acts within seconds."""

router = APIRouter(prefix="/support", route_class=SupportRoute)


@router.get("/work")
def show_worklist(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    by: Annotated[SortedBy, Depends(BY_OPENING.choose)],
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    reason: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show open cases by the time of their opening, of one reason or of all, and reservations that are overdue."""
    now = support.services.now()
    chosen = reason if reason in CAUSES else None
    page = fill_page(
        lambda place, number: support.reader.list_cases(place, number, closed_too=False, order=by.order),
        lambda case: case if chosen in {None, case.cause} else None,
        lambda case: (case.opened_at, case.case_id),
        by.find_place(cursor),
        PER_PAGE,
    )
    stuck = (
        support.reader.list_stuck(now - timedelta(seconds=STUCK_AFTER_S), OLDEST, PER_PAGE) if cursor is None else []
    )
    cards = {
        card.reservation_id: card for card in support.reader.list_summaries([case.reservation_id for case in page.rows])
    }
    stuck_cards = support.reader.list_summaries([position[1] for position in stuck])
    open_cases = [case for case in page.rows if case.reservation_id in cards]
    return support_page(
        request,
        "worklist.html",
        staff,
        by=by.keep({"reason": chosen} if chosen else {}),
        causes=CAUSES,
        is_first=cursor is None,
        cases=[(case, build_card(cards[case.reservation_id], now)) for case in open_cases],
        stuck=build_cards(support.reader, stuck_cards, now),
        count=support.reader.count_open_cases(),
        drifting=support.reader.list_drifted_streams(PER_PAGE) if cursor is None else [],
        next=page.next and format_cursor(*page.next),
    )


@router.get("/{_path:path}")
def unknown_page(request: Request, _: Viewer, _path: str) -> Response:
    """Answer every other path of the support console with an error page. This is the last route."""
    raise not_found(request)
