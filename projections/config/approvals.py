"""Which actions wait for the approval of a second person, and how long a proposal waits."""

from datetime import timedelta
from typing import Final, Literal, NamedTuple, get_args

ApprovalKind = Literal["refund", "revoke_batch", "end_campaign", "export_person", "erase_person"]
KINDS: Final[tuple[ApprovalKind, ...]] = get_args(ApprovalKind)


class ApprovalPolicy(NamedTuple):
    """The settings of approvals.

    Attributes:
        kinds: Kinds of actions that wait; none by default.
        refund_uses: Uses that one person may refund at once.
        lifetime: How long a proposal waits before it expires.
    """

    kinds: frozenset[ApprovalKind]
    refund_uses: int
    lifetime: timedelta

    def covers(self, kind: ApprovalKind, uses: int) -> bool:
        """Return whether an action of this kind, which refunds so many uses, needs an approval."""
        return kind in self.kinds and (kind != "refund" or uses > self.refund_uses)


def parse_approval_kinds(text: str) -> frozenset[ApprovalKind]:
    """Parse kinds separated by commas.

    Raises:
        ValueError: There is no such kind.
    """
    named = {part.strip() for part in text.split(",") if part.strip()}
    if unknown := named.difference(KINDS):
        raise ValueError(f"{', '.join(sorted(unknown))} is not one of {', '.join(KINDS)}")
    return frozenset(kind for kind in KINDS if kind in named)
