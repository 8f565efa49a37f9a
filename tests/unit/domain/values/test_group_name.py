"""What may be a group's name."""

import pytest

from domain.values.group_name import NAME_LENGTH_MAX, checked_group, group_name_error


@pytest.mark.parametrize(
    "name",
    ["", "design", "设计 2026", "Team @ Berlin", "@all", "a@b", "x" * NAME_LENGTH_MAX, "T6Z7-Z16G-K5WA-XPK1-1EX4"],
)
def test_name(name: str) -> None:
    assert group_name_error(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("x" * (NAME_LENGTH_MAX + 1), "length"),
        ("two\nlines", "signs"),
        ("li.wei@example.com", "address"),
        ("team of <li.wei@example.com>", "address"),
        ("T6Z7-Z16G-K5WA-XPK1-1EX3", "code"),
        ("t6z7z16gk5waxpk11ex3", "code"),
        ("t6z7 zi6g k5wa xpk1 1ex3", "code"),
    ],
)
def test_no_name(name: str, fault: str) -> None:
    """What does not fit, or would put a person's address into events forever."""
    assert group_name_error(name) == fault


def test_name_is_checked_with_a_sentence_that_says_why() -> None:
    assert checked_group("design") == "design"
    with pytest.raises(ValueError, match=r"^a group's name is stored in events, where no redeem code may be$"):
        checked_group("T6Z7-Z16G-K5WA-XPK1-1EX3")
