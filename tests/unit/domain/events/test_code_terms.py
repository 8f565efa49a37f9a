"""Terms of codes and campaigns: a declaration without a check fails when it is imported."""

from datetime import datetime
from typing import Any

import pytest
from msgspec import defstruct

from domain.events.code_terms import find_invalid_term, list_checks
from domain.values.email_domains import DomainNames
from domain.values.number_bounds import Bounds


@pytest.mark.parametrize(
    ("name", "kind", "is_checked"),
    [
        ("seats", int | None, True),
        ("invented_time", datetime | None, True),
        ("invented_domains", DomainNames | None, True),
        ("hours", str | None, True),
        ("group", str | None, True),
        ("invented_number", int | None, False),
        ("invented_text", str | None, False),
        ("invented_flag", bool, False),
    ],
)
def test_term_needs_a_check_of_its_values(name: str, kind: type, *, is_checked: bool) -> None:
    """A text of any form could hold an email address, which no event may hold."""
    terms = defstruct("Terms", [(name, kind)])
    try:
        list_checks(terms, {"seats": Bounds(1, 9)}, {"hours": str.isdigit})
        refused = ""
    except TypeError as error:
        refused = str(error)

    assert refused.partition(":")[0] == ("" if is_checked else f"the values of Terms.{name} are not checked")


@pytest.mark.parametrize(
    ("terms", "invalid"),
    [
        ({"seats": 9, "hours": "8", "group": "anything"}, None),
        ({"seats": None, "hours": None}, None),
        ({"seats": 10}, "seats"),
        ({"seats": 1, "hours": "eight"}, "hours"),
    ],
)
def test_term_out_of_bounds_is_named(terms: dict[str, object], invalid: str | None) -> None:
    kinds: list[tuple[str, Any]] = [("seats", int | None), ("hours", str | None), ("group", str | None)]
    checks = list_checks(defstruct("Terms", kinds), {"seats": Bounds(1, 9)}, {"hours": str.isdigit})

    assert find_invalid_term(terms, checks) == invalid
