"""The time ranges of the dashboard and of lists to which it leads, in equal steps up to now."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
TimeRangeName = Literal["hour", "day", "week", "month"]


class TimeRange(NamedTuple):
    """A stretch of time in equal steps; a step is labeled with its time of day, or with its date."""

    step: timedelta
    steps: int
    shows_time: bool


TIME_RANGES: Final[dict[TimeRangeName, TimeRange]] = {
    "hour": TimeRange(timedelta(minutes=2), 31, shows_time=True),
    "day": TimeRange(timedelta(hours=1), 25, shows_time=True),
    "week": TimeRange(timedelta(hours=6), 29, shows_time=False),
    "month": TimeRange(timedelta(days=1), 31, shows_time=False),
}


def find_start(name: TimeRangeName, now: datetime) -> datetime:
    """Return the start of a time range up to now. Each step has its full length; the last one is in progress."""
    window = TIME_RANGES[name]
    last = EPOCH + window.step * ((now - EPOCH) // window.step)
    return last - window.step * (window.steps - 1)
