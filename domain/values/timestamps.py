"""Timestamps: the bounds that every input keeps, how a text becomes one, and arithmetic that never overflows.

Timestamps in the log may lie outside the bounds, because they were written before the bounds were set. So
readers use `in_utc`, `text_of` and `shifted`, which accept every timestamp that Python can hold.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(8999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Far enough from the ends of the calendar that adding a hundred years, or any offset, stays inside it."""
AHEAD_MAX: Final = timedelta(minutes=5)
"""How far a reported time may lie ahead of the database's clock: clocks of other systems differ."""
CLOCK_STEP: Final = timedelta(minutes=1)
"""The clocks of two processes never differ by as much. A stored time that is further ahead of now was stored before the
database's clock went back."""
FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
LAST: Final = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The ends of the calendar in UTC: before and after every row of a list."""
BOUNDS_TEXT: Final = f"from {EARLIEST:%Y-%m-%d} to {LATEST:%Y-%m-%d} UTC"
TEXT_LENGTH_MAX: Final = 40
"""For fields of forms; the longest timestamp in `_FORM` has 35 characters."""

TimestampFault = Literal["unreadable", "no_offset", "out_of_bounds"]

_EXAMPLE: Final = "such as 2027-01-31T23:59:00Z"
_SENTENCES: Final[dict[TimestampFault, str]] = {
    "unreadable": f"is not an ISO 8601 timestamp {_EXAMPLE}",
    "no_offset": f"needs an ISO 8601 timestamp with its offset from UTC, {_EXAMPLE}",
    "out_of_bounds": f"must be a timestamp {BOUNDS_TEXT}",
}
_FORM: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?P<offset>Z|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII | re.IGNORECASE,
)


class TimestampError(ValueError):
    """A value is not an acceptable timestamp. The message is a sentence whose subject, the field, is left out.

    Attributes:
        fault: Which rule it breaks.
    """

    def __init__(self, fault: TimestampFault) -> None:
        super().__init__(_SENTENCES[fault])
        self.fault = fault


def parse_timestamp(typed: object, *, needs_offset: bool = False) -> datetime:
    """Read a timestamp that a person or a program wrote.

    Args:
        typed: ISO 8601 text: a date, or a date and time. Numbers and booleans are refused.
        needs_offset: Refuse a text without an offset, which otherwise means UTC.

    Returns:
        The timestamp in UTC, from `EARLIEST` to `LATEST`.

    Raises:
        TimestampError: It cannot be read, or lies outside the bounds.
    """
    return bounded(read_timestamp(typed, needs_offset=needs_offset))


def read_timestamp(typed: object, *, needs_offset: bool = False) -> datetime:
    """Read a timestamp that this program wrote, or that the caller clamps: any that Python can hold.

    Args:
        typed: As for `parse_timestamp`.
        needs_offset: As there.

    Returns:
        The timestamp, aware, with the offset that is written.

    Raises:
        TimestampError: It cannot be read.
    """
    form = _FORM.fullmatch(typed) if isinstance(typed, str) else None
    if form is None:
        raise TimestampError("unreadable")
    if needs_offset and form["offset"] is None:
        raise TimestampError("no_offset")
    try:
        parsed = datetime.fromisoformat(form[0].upper())
    except ValueError as error:
        raise TimestampError("unreadable") from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def bounded(timestamp: datetime) -> datetime:
    """Convert an aware timestamp to UTC.

    Raises:
        TimestampError: It lies outside the bounds.
    """
    if not is_within_bounds(timestamp):
        raise TimestampError("out_of_bounds")
    return timestamp.astimezone(UTC)


def is_within_bounds(timestamp: datetime) -> bool:
    """Return whether an aware timestamp is one that an input may name."""
    return EARLIEST <= timestamp <= LATEST


def clamped(timestamp: datetime) -> datetime:
    """Return the nearest timestamp inside the bounds, in UTC: for what another system stored as never or always."""
    return min(max(timestamp, EARLIEST), LATEST).astimezone(UTC)


def in_utc(timestamp: datetime) -> datetime:
    """Return the same timestamp in UTC; with its own offset where the year in UTC would be 0 or 10000."""
    try:
        return timestamp.astimezone(UTC)
    except OverflowError:
        return timestamp


def is_impossible(stored_at: datetime, now: datetime) -> bool:
    """Return whether something cannot have been stored at this time, because the database's clock has not reached it.

    The clock was ahead then, and went back. What waits since that time waits for nothing: it is due.
    """
    return stored_at - now > CLOCK_STEP


def possible_time(now: datetime, last_at: datetime) -> datetime:
    """Return the time that decides what is due in a stream: not before its last event, unless that is impossible.

    Args:
        now: Database time.
        last_at: `at` of the last event. The clock of the process that stored it may differ a little.
    """
    return now if is_impossible(last_at, now) else max(now, last_at)


def utc_day(timestamp: datetime) -> date:
    """Return the day of a timestamp in UTC."""
    return in_utc(timestamp).date()


def text_of(timestamp: datetime, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return a timestamp for users: in UTC and labeled so, or ISO 8601 if UTC cannot express it."""
    converted = in_utc(timestamp)
    # strftime writes the year 1 without its zeros.
    return (
        f"{converted.strftime(form.replace('%Y', f'{converted.year:04}'))} UTC"
        if converted.tzinfo is UTC
        else converted.isoformat()
    )


def shifted(timestamp: datetime, by: timedelta) -> datetime:
    """Return a timestamp plus a duration, clamped to the first and last timestamp that Python can hold."""
    try:
        return timestamp + by
    except OverflowError:
        return LAST if by > timedelta() else FIRST
