"""Terms of codes for tests: what a test does not name is as on a code for which nothing is said."""

from typing import Any

from msgspec import structs

from api.use_cases.issue_codes import CodeTemplate
from domain.events.code_terms import SINGLE_USE, CodeTerms


def make_terms(**named: Any) -> CodeTerms:
    """Terms with these values; one use, and nothing else bounded."""
    return structs.replace(SINGLE_USE, **named)


def make_template(*, bound: bool = True, **named: Any) -> CodeTemplate:
    """What codes of such terms have in common."""
    return CodeTemplate(terms=make_terms(**named), bound=bound)
