"""Durations in days, as ISO 8601 writes them."""

import re

import pytest

from domain.values.number_bounds import DURATION_PATTERN, DurationError, format_days, parse_days


@pytest.mark.parametrize(("typed", "days"), [("P1D", 1), ("P7D", 7), ("P2W", 14), ("P36500D", 36_500)])
def test_days_and_weeks_are_read(typed: str, days: int) -> None:
    assert parse_days(typed) == days
    assert parse_days(format_days(days)) == days


@pytest.mark.parametrize(
    "typed", ["P0D", "P36501D", "P99999W", "7", "P7", "PT7H", "P1M", "p7d", "P7D ", "-P7D", "P٧D", ""]
)
def test_other_durations_are_refused_with_an_example(typed: str) -> None:
    """Months and hours too: their length varies, or is not a day."""
    with pytest.raises(DurationError, match="such as P7D or P2W"):
        parse_days(typed)


@pytest.mark.parametrize("unit", ["D", "W"])
def test_pattern_says_exactly_what_is_read(unit: str) -> None:
    """The OpenAPI document has it: a client that follows it is not refused."""
    for number in range(40_000):
        typed = f"P{number}{unit}"
        try:
            is_read = parse_days(typed) > 0
        except DurationError:
            is_read = False
        assert (re.search(DURATION_PATTERN, typed) is not None) is is_read, typed
