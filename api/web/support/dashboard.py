"""The dashboard: redemptions over time, and pending work. Charts are drawn here, with their numbers as tables."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from api.i18n.catalogs import Translator, translator
from api.i18n.messages import refusal_title
from api.use_cases.services import Services
from api.web.rendering import short_time_tag
from api.web.staff_auth.rendering import get_language, support_page
from api.web.staff_auth.sessions import SupportRoute, Viewer
from api.web.support.charts import StackedColumns, scale_to_largest, stack_columns
from api.web.support.rejected_requests import url_of_rejections
from api.web.support.time_ranges import TIME_RANGES, TimeRangeName, find_start
from domain.errors import CodeUnknown
from domain.ports import Language
from projections.read_models.dashboard_queries import (
    SENT_MAX,
    WAIT_BOUNDS_S,
    DashboardData,
    DashboardReader,
    Health,
    RangeTooLargeError,
)

CACHE_S: Final = 10.0
"""Seconds for which the figures of a time range are cached, so that many open pages cost little."""
LATE_S: Final = 60
"""Seconds after which due work counts as late: workers and sweep act within seconds."""

MINUTE_S: Final = 60
TENTHS_BELOW_S: Final = 10

router = APIRouter(prefix="/support", route_class=SupportRoute)


class Bar(NamedTuple):
    """A line of a table that is a picture, too; `path` leads to what it counts."""

    label: str
    number: int
    path: str | None = None


@dataclass(frozen=True, slots=True)
class DashboardCache:
    """The dashboard of one process, with its cached figures."""

    services: Services
    reader: DashboardReader
    clock: Callable[[], float] = time.monotonic
    entries: dict[TimeRangeName, tuple[float, DashboardData]] = field(default_factory=dict)

    @classmethod
    def from_services(cls, services: Services) -> "DashboardCache":
        """Build the dashboard from the services of a started application."""
        return cls(services, DashboardReader(services.reports.read()))

    def figures(self, name: TimeRangeName) -> DashboardData:
        """Return the figures of a time range up to now, a few seconds old at most.

        Raises:
            RangeTooLargeError: The range holds too much.
        """
        at, entry = self.entries.get(name, (0.0, None))
        if entry is not None and self.clock() - at < CACHE_S:
            return entry
        window = TIME_RANGES[name]
        data = self.reader.read_figures(find_start(name, self.services.now()), window.step, window.steps)
        self.entries[name] = (self.clock(), data)
        return data


async def _dashboard_cache(request: Request) -> DashboardCache:
    data: DashboardCache = request.app.state.dashboard
    return data


@router.get("/dashboard")
def show_dashboard(
    request: Request,
    cache: Annotated[DashboardCache, Depends(_dashboard_cache)],
    staff: Viewer,
    window: Annotated[TimeRangeName, Query()] = "day",
) -> Response:
    """Show charts of a time range, and the pending work."""
    language = get_language(request)
    services = cache.services
    try:
        figures = cache.figures(window)
    except RangeTooLargeError:
        figures = None
    reading = services.reports.read()
    reader = DashboardReader(reading)
    view = figures, reader.read_health(services.now()), reader.list_kept_access()
    figures, health, kept_access = view
    now = services.now()
    return support_page(
        request,
        "dashboard.html",
        staff,
        window=window,
        windows=list(TIME_RANGES),
        figures=figures,
        health=health,
        kept_access=kept_access,
        missing=services.broker_missing(),
        has_standby=services.reports.standby is not None,
        lag_s=reading.lag_s,
        lag_s_max=services.settings.read_lag_s_max,
        late_s=_late_s(health, now),
        is_late=_late_s(health, now) > LATE_S,
        now=now,
        **(_charts(figures, window, language) if figures else {}),
    )


def _late_s(health: Health, now: datetime) -> int:
    """Return for how many seconds the oldest due work has been waiting."""
    if health.oldest_due is None or health.oldest_due > now:
        return 0
    return int((now - health.oldest_due).total_seconds())


def _charts(figures: DashboardData, window: TimeRangeName, language: Language) -> dict[str, Any]:
    say, shows_time = translator(language), TIME_RANGES[window].shows_time
    outcomes = figures.outcomes
    over_time: StackedColumns = stack_columns(
        [(row.sent, row.live, row.refunded) for row in outcomes],
        ("sent", "live", "refunded"),
        [short_time_tag(row.at, "clock" if shows_time else "day") for row in outcomes],
    )
    bounds = [_format_span(bound, say) for bound in WAIT_BOUNDS_S]
    classes = [say("page.board.wait.below", bound=bounds[0])]
    classes += [f"{low} – {high}" for low, high in pairwise(bounds)]
    classes.append(say("page.board.wait.above", bound=bounds[-1]))
    refusals = [
        # Requests with unknown codes are only counted.
        Bar(
            refusal_title(reason, language),
            count,
            None if reason == CodeUnknown.code else url_of_rejections(window, reason=reason),
        )
        for reason, count in figures.refusals
    ]
    refunds = [
        Bar(say(key) if say.knows(key := f"page.board.cause.{cause}") else cause, count)
        for cause, count in figures.refunds
    ]
    return {
        "over_time": over_time,
        "totals": {
            name: sum(getattr(row, name) for row in outcomes)
            for name in ("sent", "live", "refunded", "bounced", "refused")
        },
        "waits": _bars([Bar(*each) for each in zip(classes, figures.waits, strict=True)]),
        "wait_percentiles": [_format_span(wait, say) for wait in figures.middle_waits]
        if figures.middle_waits
        else None,
        "refusals": _bars(refusals),
        "refunds": _bars(refunds),
        "domains": list(
            zip(figures.domains, scale_to_largest([each.bounced for each in figures.domains]), strict=True)
        ),
        "sent_max": SENT_MAX,
        "busiest": list(
            zip(figures.busiest, scale_to_largest([code.redeemed for code in figures.busiest]), strict=True)
        ),
    }


def _bars(rows: list[Bar]) -> list[tuple[Bar, float]]:
    return list(zip(rows, scale_to_largest([row.number for row in rows]), strict=True))


def _format_span(wait: float, say: Translator) -> str:
    """Return a duration as short as possible."""
    if wait >= MINUTE_S:
        return say("span.minutes", n=f"{wait / MINUTE_S:.0f}")
    return say("span.seconds", n=f"{wait:.1f}" if wait < TENTHS_BELOW_S and wait != int(wait) else f"{wait:.0f}")
