"""Terms of codes: a declaration without a check fails when it is imported."""

from datetime import datetime

import pytest

from domain.events.code_terms import find_unchecked_term
from domain.values.email_domains import DomainNames


@pytest.mark.parametrize(
    ("name", "kind", "missing"),
    [
        ("max_uses", int | None, None),
        ("invented time", datetime | None, None),
        ("invented domains", DomainNames | None, None),
        ("group", str | None, None),
        ("invented number", int | None, "BOUNDS has no invented number"),
        ("invented text", str | None, "has no check for invented text"),
        ("invented flag", bool, "has no check for invented flag"),
    ],
)
def test_term_needs_a_check_of_its_values(name: str, kind: object, missing: str | None) -> None:
    """A text of any form could hold an email address, which no event may hold."""
    answer = find_unchecked_term({name: kind})

    assert (answer is None) if missing is None else missing in str(answer)
