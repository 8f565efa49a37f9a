"""Thresholds: `80%` is reached when 80% of the uses of a limit are occupied, `10 left` when at most 10 are available.

`7 days` is reached 7 days before the end of the code or campaign, and `end` at its end. A use is occupied while it is
reserved or counted. Thresholds are one text in one form, so that equal ones are equal texts wherever they are stored or
compared.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NewType

from domain.values.number_bounds import Bounds

Thresholds = NewType("Thresholds", str)
"""Thresholds in normal form: percentages, uses that are left, then days, in the order in which they are reached."""
THRESHOLDS_MAX: Final = 10
PERCENT: Final = Bounds(1, 100)
USES_LEFT: Final = Bounds(0, 10**15 - 1)
"""As many digits as every limit of uses can have without being larger than `USES`: a pattern says so."""
DAYS_BEFORE_END: Final = Bounds(1, 999)
"""Three digits: a pattern says so."""
END: Final = "end"
"""The threshold that is reached at the end itself."""
THRESHOLD_PATTERN: Final = (
    r"^(100|[1-9][0-9]?)%$|^(0|[1-9][0-9]{0,14}) left$|^1 day$|^([2-9]|[1-9][0-9]{1,2}) days$|^end$"
)
"""One threshold in normal form."""
THRESHOLD_LENGTH_MAX: Final = len(f"{USES_LEFT.most} left")
THRESHOLDS_LENGTH_MAX: Final = THRESHOLDS_MAX * (THRESHOLD_LENGTH_MAX + len(", "))
PARSED_CACHED_MAX: Final = 1_024
_BETWEEN: Final = ", "
_SEPARATORS: Final = re.compile(r"[\s,;]+")
_SPACE_BEFORE_UNIT: Final = re.compile(r"(?<=[0-9])\s+(?=%|left|day)")
_ONE: Final = re.compile(r"([0-9]{1,16})(%|left|days?)|(end)")


class ThresholdError(ValueError):
    """A text does not name thresholds. The message is a sentence whose subject, the field, is left out."""

    def __init__(self) -> None:
        super().__init__(f"is not 1 to {THRESHOLDS_MAX} thresholds such as 80%, 10 left or 7 days")


def parse_thresholds(text: str) -> Thresholds:
    """Return the thresholds of a text that has spaces, commas or semicolons between them.

    Raises:
        ThresholdError: One of them cannot be read, or there are none or too many.
    """
    return join_thresholds(name for name in _SEPARATORS.split(_SPACE_BEFORE_UNIT.sub("", text)) if name)


def join_thresholds(names: Iterable[str]) -> Thresholds:
    """Return thresholds that were named one by one.

    Raises:
        ThresholdError: As `parse_thresholds`.
    """
    percentages: set[int] = set()
    left: set[int] = set()
    days: set[int] = set()
    units = {"%": (PERCENT, percentages), "left": (USES_LEFT, left)}
    for name in names:
        parts = _ONE.fullmatch(_SPACE_BEFORE_UNIT.sub("", name))
        if parts is None:
            raise ThresholdError
        if parts[3] == END:
            days.add(0)
            continue
        number, (bounds, named) = int(parts[1]), units.get(parts[2], (DAYS_BEFORE_END, days))
        if not bounds.holds(number):
            raise ThresholdError
        named.add(number)
    if not 0 < len(percentages) + len(left) + len(days) <= THRESHOLDS_MAX:
        raise ThresholdError
    parsed = [f"{number}%" for number in sorted(percentages)] + [f"{number} left" for number in sorted(left)[::-1]]
    return Thresholds(_BETWEEN.join(parsed + [_name_days(number) for number in sorted(days)[::-1]]))


def _name_days(days: int) -> str:
    return END if days == 0 else f"{days} day{'' if days == 1 else 's'}"


def split_thresholds(thresholds: Thresholds) -> list[str]:
    """Return the single thresholds, in order."""
    return thresholds.split(_BETWEEN)


def list_thresholds(thresholds: Thresholds) -> list[int | str]:
    """Return thresholds as JSON has them: a percentage as a number, `10 left` as a text."""
    names = split_thresholds(thresholds)
    return [int(name.removesuffix("%")) if name.endswith("%") else name for name in names]


def name_listed(listed: Iterable[object]) -> list[str]:
    """Return the names of thresholds that JSON lists. What is not one of them has no valid name."""
    return [_name_listed(each) for each in listed]


def _name_listed(each: object) -> str:
    if isinstance(each, float) and each.is_integer():  # JSON does not tell 80.0 from 80
        each = int(each)
    return f"{each}%" if type(each) is int else str(each)


@lru_cache(maxsize=PARSED_CACHED_MAX)
def are_thresholds(text: str) -> bool:
    """Return whether a text is a set of thresholds in normal form."""
    try:
        return parse_thresholds(text) == text
    except ThresholdError:
        return False


def find_reached(thresholds: Thresholds | None, max_uses: int | None, occupied: int) -> tuple[str, ...]:
    """Return the thresholds of uses that a number of occupied ones reaches, in order; none without any or a limit."""
    if thresholds is None or max_uses is None:
        return ()
    return tuple(name for name, least in _find_levels(thresholds, max_uses) if least <= occupied)


def find_passed(thresholds: Thresholds | None, ends_at: datetime | None, at: datetime) -> tuple[str, ...]:
    """Return the thresholds that name a time before an end which has come by `at`; none without an end."""
    if thresholds is None or ends_at is None:
        return ()
    return tuple(name for name, reached_at in _find_times(thresholds, ends_at) if reached_at <= at)


def find_next_time(thresholds: Thresholds | None, ends_at: datetime | None, after: datetime) -> datetime | None:
    """Return when the next threshold before an end is reached, later than a time; None if none is left."""
    if thresholds is None or ends_at is None:
        return None
    return next((reached_at for _, reached_at in _find_times(thresholds, ends_at) if reached_at > after), None)


def is_before_end(threshold: str) -> bool:
    """Return whether a threshold is reached by time, such as `7 days` or `end`, and not by uses."""
    return threshold == END or threshold.endswith(("day", "days"))


@lru_cache(maxsize=PARSED_CACHED_MAX)
def _find_times(thresholds: Thresholds, ends_at: datetime) -> tuple[tuple[str, datetime], ...]:
    """Return when each threshold before an end is reached, in order."""
    names = [name for name in split_thresholds(thresholds) if is_before_end(name)]
    return tuple((name, ends_at - timedelta(days=0 if name == END else int(name.split(" ")[0]))) for name in names)


@lru_cache(maxsize=PARSED_CACHED_MAX)
def _find_levels(thresholds: Thresholds, max_uses: int) -> tuple[tuple[str, int], ...]:
    """Return the number of occupied uses from which each threshold is reached: at least one use."""
    names = [name for name in split_thresholds(thresholds) if not is_before_end(name)]
    return tuple((name, max(1, _find_level(name, max_uses))) for name in names)


def _find_level(name: str, max_uses: int) -> int:
    if name.endswith("%"):
        return -(-max_uses * int(name.removesuffix("%")) // PERCENT.most)  # rounded up
    return max_uses - int(name.removesuffix(" left"))
