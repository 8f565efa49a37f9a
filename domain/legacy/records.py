"""Rows of the legacy system: what it has on a code and on each of its invitations."""

from datetime import datetime

from msgspec import Struct

from domain.legacy.statuses import Evidence, evidence_of


class LegacyCode(Struct, frozen=True, kw_only=True):
    """One row of `redeem_codes`; times are aware UTC. `max_uses` None: without limit (0 in the old table).

    Counters are as recorded, also below zero. `knows_binding` is false for versions whose codes were not bound.
    `status` is in lower case, empty where there is none.
    """

    old_id: int
    text: str
    used_count: int
    max_uses: int | None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    is_active: bool = True
    note: str | None = None
    group_id: int | None = None
    validity_days: int | None = None
    bound_email: str | None = None
    knows_binding: bool = False
    removed_at: datetime | None = None
    activated_at: datetime | None = None
    rebind_count: int = 0
    rebind_limit: int | None = None
    status: str = ""

    @property
    def is_removed(self) -> bool:
        """Whether the access was removed there after its expiry date."""
        return self.status == "removed"


class LegacyInvite(Struct, frozen=True, kw_only=True):
    """One row of `invite_records`. `status` is in lower case; times are aware UTC."""

    old_id: int
    email: str
    status: str
    created_at: datetime | None = None
    accepted_at: datetime | None = None
    consumed_at: datetime | None = None
    is_rebind: bool = False

    @property
    def evidence(self) -> Evidence:
        """What the record proves."""
        return evidence_of(self.status)

    @property
    def is_proven(self) -> bool:
        """Whether it proves that an invitation was sent, refunded since or not."""
        return self.evidence in {"sent", "refunded"}
