"""Ids from outside that may be stored in plain text."""

import random

import pytest

from domain.values.identifiers import is_native
from domain.values.trace_ids import is_trace_id, outside_trace_id


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
