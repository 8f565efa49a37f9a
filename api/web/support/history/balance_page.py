"""The balance of a code over time: the chart of other pages, and its numbers as a table."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import ApplicationError
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportContextDep, SupportRoute, Viewer
from api.web.staff_auth.staff import Staff
from api.web.support.history.balance_chart import BalanceChart, draw_balance_chart
from api.web.support.history.time_axis import SCALE_LENGTH_MAX, name_other_scale, parse_scale
from api.web.support.view_models import ShownStream
from projections.event_store.snapshots import StreamState
from projections.read_models.statements import HistoryReader

router = APIRouter(prefix="/support/codes/{code_id}/balance", route_class=SupportRoute)


@router.get("")
def show_numbers(
    request: Request,
    support: SupportContextDep,
    staff: Viewer,
    code_id: UUID,
    scale: Annotated[str, Query(max_length=SCALE_LENGTH_MAX)] = "",
) -> Response:
    """Show the chart and its numbers."""
    if support.statements.find_newest_version(code_id) == 0:
        raise ApplicationError("NOT_FOUND")
    show = ShownStream.of_code(code_id, support.reader.find_suffix(code_id), get_language(request))
    return render_balance(request, staff, support.statements, show, support.services.now(), scale)


def render_balance(
    request: Request,
    staff: Staff,
    histories: HistoryReader[StreamState],
    show: ShownStream,
    now: datetime,
    scale: str,
) -> Response:
    """Render the chart of a code or campaign and its numbers."""
    chart = load_chart(histories, show.stream_id, now, is_true_scale=parse_scale(scale))
    scale_url = f"?scale={name_other_scale(is_true_scale=chart.is_true_scale)}"
    return support_page(request, "balance.html", staff, show=show, chart=chart, scale_url=scale_url)


def load_chart(
    histories: HistoryReader[StreamState],
    stream_id: UUID,
    now: datetime,
    *,
    is_true_scale: bool | None,
    at: datetime | None = None,
    since: datetime | None = None,
) -> BalanceChart:
    """Draw the balance of a code or campaign that exists, from its first event until now.

    Args:
        histories: Where its history is read.
        stream_id: The code or campaign.
        now: The end of the chart, unless the last event is later.
        is_true_scale: Whether equal distances are equal times; None for a short history only.
        at: The time of the cursor; None for now.
        since: A time before the cursor that is compared with it.
    """
    trace = histories.trace_balance(stream_id)
    landmarks = histories.list_landmarks(stream_id, histories.find_newest_version(stream_id))
    return draw_balance_chart(
        trace.list_samples(),
        landmarks,
        changes=trace.changes,
        at=at or now,
        now=now,
        is_true_scale=is_true_scale,
        since=since,
    )
