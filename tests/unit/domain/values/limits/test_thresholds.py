"""Thresholds of a limit: one form of each text, and the number of uses from which each is reached."""

import pytest

from domain.values.limits.thresholds import (
    THRESHOLD_LENGTH_MAX,
    THRESHOLDS_LENGTH_MAX,
    THRESHOLDS_MAX,
    USES_LEFT,
    ThresholdError,
    are_thresholds,
    find_reached,
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
    ],
)
def test_text_has_one_form(typed: str, normal: str) -> None:
    """Percentages come first, then uses left; each is there once, in the order in which it is reached."""
    assert parse_thresholds(typed) == normal
    assert join_thresholds(split_thresholds(parse_thresholds(typed))) == normal
    assert are_thresholds(normal)


@pytest.mark.parametrize(
    "typed", ["", " , ", "80", "left", "0%", "101%", "-1 left", "80%%", "8O%", "80% left", "1.5%", "9" * 17 + " left"]
)
def test_text_that_names_no_threshold_is_refused(typed: str) -> None:
    """A number without its unit might be either."""
    with pytest.raises(ThresholdError, match="is not 1 to 10 thresholds such as 80% or 10 left"):
        parse_thresholds(typed)
    assert not are_thresholds(typed)


def test_number_of_thresholds_and_their_length_are_bounded() -> None:
    """The longest text has as many of the longest thresholds as there may be."""
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
