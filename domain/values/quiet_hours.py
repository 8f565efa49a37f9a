"""Quiet hours of a campaign: the part of a day, in a time zone, in which no reminder is sent.

They are one text in one form, `22:00-08:00 Europe/Berlin`, so that they cannot be set by half.
"""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

QUIET_HOURS_PATTERN: Final = (
    r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9] [A-Za-z][A-Za-z0-9_+/-]{0,39}$"
)
"""Start, end and the name of a time zone of the IANA database."""
TEXT_LENGTH_MAX: Final = 52
_WHOLE: Final = re.compile(QUIET_HOURS_PATTERN)


class _QuietHours(NamedTuple):
    start: time
    end: time
    zone: tzinfo


def is_quiet_hours(text: str) -> bool:
    """Return whether a text names quiet hours, with two different times and an existing time zone."""
    if _WHOLE.fullmatch(text) is None or text != text.strip():
        return False
    clock, _, zone = text.partition(" ")
    start, _, end = clock.partition("-")
    return start != end and _find_zone(zone) is not None


def find_end_of_quiet_hours(text: str, now: datetime) -> datetime | None:
    """Return when the quiet hours that include `now` end, always later than `now`; None outside of quiet hours.

    Args:
        text: The quiet hours. A time zone that is no longer in the database counts as UTC.
        now: Aware time.
    """
    hours = _parse(text)
    local = now.astimezone(hours.zone)
    clock = local.time()
    crosses_midnight = hours.start > hours.end
    has_begun, is_before_end = hours.start <= clock, clock < hours.end
    is_quiet = has_begun or is_before_end if crosses_midnight else has_begun and is_before_end
    if not is_quiet:
        return None
    day = local.date() + timedelta(days=int(crosses_midnight and has_begun))
    # Where clocks change at this hour, the time of the end happens twice or not at all: the later reading is meant.
    readings = [datetime.combine(day, hours.end.replace(fold=fold), hours.zone).astimezone(UTC) for fold in (0, 1)]
    return max(readings)


@lru_cache(maxsize=256)
def _parse(text: str) -> _QuietHours:
    clock, _, zone = text.partition(" ")
    start, _, end = clock.partition("-")
    return _QuietHours(_read_clock(start), _read_clock(end), _find_zone(zone) or UTC)


def _read_clock(text: str) -> time:
    hour, _, minute = text.partition(":")
    return time(int(hour), int(minute))


def _find_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError):  # not a name, not in the database, or a folder of the database
        return None
