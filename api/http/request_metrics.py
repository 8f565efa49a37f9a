"""Rate, errors and duration of HTTP requests by kind of route, because a label for each route would be unbounded."""

from functools import lru_cache

from prometheus_client import Histogram

from projections.telemetry.loop_counter import LoopCounter
from projections.telemetry.metrics import REQUEST_SECONDS, REQUESTS

_PREFIXES = (
    ("/api/v1/public/redeem", "redeem"),
    ("/api/v1/public/", "public"),
    ("/api/", "staff"),
    ("/support", "desk"),
    ("/admin", "desk"),
    ("/healthz", "probe"),
    ("/readyz", "probe"),
    ("/metrics", "probe"),
)


def observe(route: str, status: int, seconds: float) -> None:
    """Count one request.

    Args:
        route: The route's pattern.
        status: Of the answer; 0 if there was none, which counts as 5xx.
        seconds: How long it took.
    """
    counter, histogram = _children(route, status)
    counter.count()
    histogram.observe(seconds)


@lru_cache(maxsize=1024)  # so many pairs of route and status there are not; looking a child up costs more than counting
def _children(route: str, status: int) -> tuple[LoopCounter, Histogram]:
    group = group_of(route)
    status_class = f"{status // 100}xx" if status in range(200, 600) else "5xx"
    return LoopCounter(REQUESTS.labels(group, status_class)), REQUEST_SECONDS.labels(group)


def group_of(route: str) -> str:
    """Return the kind of a route."""
    if route.endswith("/stream"):
        return "stream"
    return next((group for prefix, group in _PREFIXES if route.startswith(prefix)), "page")
