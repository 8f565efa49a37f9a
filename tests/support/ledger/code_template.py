"""What a command of the API issues codes with, for tests."""

from typing import Any
from uuid import UUID

from api.use_cases.issue_codes import CodeTemplate
from tests.support.ledger.code_terms import make_terms


def make_template(*, bound: bool = True, campaign_id: UUID | None = None, **named: Any) -> CodeTemplate:
    """Make what codes of such terms have in common."""
    return CodeTemplate(terms=make_terms(**named), bound=bound, campaign_id=campaign_id)
