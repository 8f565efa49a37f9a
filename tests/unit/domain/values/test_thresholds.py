"""Thresholds of a limit: one form of each text, and the number of uses from which each is reached."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from domain.values.limits.thresholds import (
    THRESHOLD_LENGTH_MAX,
    THRESHOLD_PATTERN,
    THRESHOLDS_LENGTH_MAX,
    THRESHOLDS_MAX,
    USES_LEFT,
    ThresholdError,
    are_thresholds,
    find_next_time,
    find_passed,
    find_reached,
    is_before_end,
    join_thresholds,
    parse_thresholds,
    split_thresholds,
)


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("80%", "80%"),
        ("100%,80 %", "80%, 100%"),
        ("10 left; 080% 0left", "80%, 10 left, 0 left"),
        (" 5  left\n5 left ", "5 left"),
        ("end 1days, 7 day 30days 80%", "80%, 30 days, 7 days, 1 day, end"),
    ],
)
def test_text_has_one_form(typed: str, normal: str) -> None:
    """Percentages come first, then uses left, then days; each is there once, in the order in which it is reached."""
    assert parse_thresholds(typed) == normal
    assert join_thresholds(split_thresholds(parse_thresholds(typed))) == normal
    assert are_thresholds(normal)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " , ",
        "80",
        "left",
        "0%",
        "101%",
        "-1 left",
        "80%%",
        "8O%",
        "80% left",
        "1.5%",
        "9" * 17 + " left",
        "0 days",
        "1000 days",
        "7",
        "days",
        "1 end",
    ],
)
def test_text_that_names_no_threshold_is_refused(typed: str) -> None:
    """A number without its unit might be either."""
    with pytest.raises(ThresholdError, match="is not 1 to 10 thresholds such as 80%, 10 left or 7 days"):
        parse_thresholds(typed)
    assert not are_thresholds(typed)


def test_number_of_thresholds_and_their_length_are_bounded() -> None:
    longest = [f"{USES_LEFT.most - number} left" for number in range(THRESHOLDS_MAX)]
    text = join_thresholds(longest)

    assert max(map(len, longest)) == THRESHOLD_LENGTH_MAX
    assert len(text) == THRESHOLDS_LENGTH_MAX - len(", ")
    with pytest.raises(ThresholdError):
        join_thresholds([*longest, "80%"])


def test_text_in_another_form_is_not_stored() -> None:
    """Equal thresholds are equal texts."""
    assert [are_thresholds(text) for text in ("100%, 80%", "80%,100%", "80 %", "080%")] == [False] * 4


@pytest.mark.parametrize(
    ("thresholds", "max_uses", "levels"),
    [
        ("80%, 100%", 10, {"80%": 8, "100%": 10}),
        ("80%, 100%", 3, {"80%": 3, "100%": 3}),
        ("1%", 10, {"1%": 1}),
        ("3 left, 0 left", 10, {"3 left": 7, "0 left": 10}),
        ("10 left", 5, {"10 left": 1}),
    ],
)
def test_threshold_is_reached_from_a_number_of_uses_on(thresholds: str, max_uses: int, levels: dict[str, int]) -> None:
    """A percentage is rounded up; nothing is reached before the first use, even if fewer uses are left than named."""
    normal = parse_thresholds(thresholds)

    for occupied in range(max_uses + 1):
        expected = tuple(name for name, level in levels.items() if level <= occupied)
        assert find_reached(normal, max_uses, occupied) == expected


def test_nothing_is_reached_without_thresholds_or_without_a_limit() -> None:
    """A limit may be set later; then the thresholds count."""
    assert find_reached(None, 10, 10) == ()
    assert find_reached(parse_thresholds("80%"), None, 10) == ()


def test_days_are_reached_before_the_end_one_after_the_other() -> None:
    thresholds, end = parse_thresholds("80%, 2 left, 7 days, 1 day, end"), datetime(2026, 3, 8, tzinfo=UTC)
    times = [end - timedelta(days=days) for days in (7, 1, 0)]
    step = timedelta(microseconds=1)

    assert [find_passed(thresholds, end, at) for at in (times[0] - step, *times)] == [
        (),
        ("7 days",),
        ("7 days", "1 day"),
        ("7 days", "1 day", "end"),
    ]
    assert [find_next_time(thresholds, end, at) for at in (times[0] - step, *times)] == [*times, None]
    assert [is_before_end(each) for each in split_thresholds(thresholds)] == [False, False, True, True, True]
    assert find_reached(thresholds, 10, 10) == ("80%", "2 left")


def test_nothing_is_reached_by_time_without_thresholds_or_without_an_end() -> None:
    """An end may be set later."""
    end = datetime(2026, 3, 8, tzinfo=UTC)

    assert find_passed(None, end, end) == find_passed(parse_thresholds("end"), None, end) == ()
    assert find_next_time(None, end, end) is find_next_time(parse_thresholds("end"), None, end) is None


@pytest.mark.parametrize("name", ["80%", "0 left", "1 day", "2 days", "999 days", "end"])
def test_pattern_of_the_api_reads_each_normal_form(name: str) -> None:
    assert re.search(THRESHOLD_PATTERN, name)
    assert not re.search(THRESHOLD_PATTERN, f"0{name}")
