"""Texts that are stored or sent in plain text: names of groups, ids from outside, variables of emails."""

import random

import pytest

from domain.values.group_name import NAME_LENGTH_MAX, checked_group, group_name_error
from domain.values.identifiers import is_native
from domain.values.text_variables import fill_variables, find_variables
from domain.values.trace_ids import is_trace_id, outside_trace_id


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


def test_outside_trace_id_is_refused_when_it_is_a_code() -> None:
    """A native code may consist of hex digits alone, if seldom."""
    random_source = random.Random(4)
    codes = ("".join(random_source.choices("0123456789ABCDEF", k=20)) for _ in range(10_000))
    code = next(text for text in codes if is_native(text))

    assert [outside_trace_id(text) for text in (code, code.lower())] == [None, None]
    assert [is_trace_id(text) for text in (code, code.lower())] == [False, False]


@pytest.mark.parametrize("prefix", ["form", "cli", "batch"])
def test_recorded_trace_id_has_a_prefix_that_callers_cannot_use(prefix: str) -> None:
    """So a request can't pass for a form."""
    text = f"{prefix}:0123456789abcdef"

    assert (is_trace_id(text), outside_trace_id(text)) == (True, None)


@pytest.mark.parametrize("text", ["", "x" * 16, "0" * 15, "0" * 65, "0" * 16 + "\n", "form:li.wei", "FORM:" + "0" * 16])
def test_trace_id_is_refused_in_any_other_form(text: str) -> None:
    assert (is_trace_id(text), outside_trace_id(text)) == (False, None)


@pytest.mark.parametrize("text", ["4111111111111111", "110101199003078515", "0" * 31])
def test_outside_trace_id_is_refused_when_it_may_be_the_number_of_a_document(text: str) -> None:
    """Of a card or an identity card. Ids of our own may have no letter either, if seldom."""
    assert (outside_trace_id(text), is_trace_id(text)) == (None, True)


@pytest.mark.parametrize("text", ["0" * 32, "4111111111111111a", "11010119-9003-0785-1500-000000000000"])
def test_outside_trace_id_may_have_digits_alone_when_it_is_as_long_as_a_trace(text: str) -> None:
    """As nginx and tracing make them."""
    assert outside_trace_id(text) == text


def test_variable_is_filled_in_upper_and_lower_case() -> None:
    """Columns of lists are read in any letter case, so a text may name them as the file does."""
    text = "Dear {Name}, {NAME} of {city}: {Kode}{nope} { name } {{name}}"

    assert fill_variables(text, {"name": "Li {city}", "city": "Ulm"}) == (
        "Dear Li {city}, Li {city} of Ulm:  { name } {Li {city}}"
    )
    assert find_variables(text) == ["name", "city", "kode", "nope"]
