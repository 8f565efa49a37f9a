"""What a command of the API issues codes with, for tests."""

from typing import Any

from api.use_cases.issue_codes import CodeTemplate
from tests.support.ledger.code_terms import make_terms


def make_template(*, bound: bool = True, **named: Any) -> CodeTemplate:
    """Make what codes of such terms have in common."""
    return CodeTemplate(terms=make_terms(**named), bound=bound)
