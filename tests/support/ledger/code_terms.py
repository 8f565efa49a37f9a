"""Terms of codes for tests: what a test does not name is as on a code for which nothing is said."""

from typing import Any

from msgspec import structs

from domain.events.code_terms import SINGLE_USE, CodeTerms


def make_terms(**named: Any) -> CodeTerms:
    """Make terms with these values; one use, and nothing else bounded."""
    return structs.replace(SINGLE_USE, **named)
