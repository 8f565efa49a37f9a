"""What a check of the ledger finds: rules that are broken, by event."""

from typing import NamedTuple
from uuid import UUID

FINDINGS_MAX = 1_000
"""As many are kept; all are counted."""


class Finding(NamedTuple):
    """A rule that an event breaks."""

    rule: str
    stream: UUID
    version: int
    position: int
    type: str
    reservation_id: UUID | None
    detail: str | None = None


class Findings(NamedTuple):
    """The first findings, the number of all by rule, and the streams that can't be folded to their end."""

    kept: list[Finding]
    counts: dict[str, int]
    stopped: list[UUID]
