"""Violations of rules that a check of the ledger finds."""

from typing import NamedTuple
from uuid import UUID

FINDINGS_MAX = 1_000
"""Violations that are listed; all are counted."""


class RuleViolation(NamedTuple):
    """A rule that an event violates."""

    rule: str
    stream: UUID
    version: int
    position: int
    type: str
    reservation_id: UUID | None
    detail: str | None = None


class Findings(NamedTuple):
    """The first violations, the number of all by rule, and the streams that cannot be folded to their end."""

    listed: list[RuleViolation]
    counts: dict[str, int]
    stopped: list[UUID]
