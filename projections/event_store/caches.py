"""Caches of committed state in one process. A miss or an old entry costs time and never changes a result."""

from uuid import UUID

from eventsourcing.application import LRUCache

from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation

CACHED_CODES_MAX = 10_000
"""Codes whose state and digest this process keeps, about 500 bytes each."""
CLAIMED_MAX = 1_000
"""Claimed reservations whose state this process keeps until their outcome: many more than it sends at a time."""


class StoreCaches:
    """Codes and campaigns, the ids and campaigns of codes, streams of reservations, and claimed reservations.

    `full_refusals`: codes whose daily rejections are all recorded.
    """

    def __init__(self, size: int = CACHED_CODES_MAX) -> None:
        self.codes: LRUCache[UUID, RedeemCode] = LRUCache(size)
        self.campaigns: LRUCache[UUID, Campaign] = LRUCache(size)
        self.campaigns_of_codes: LRUCache[UUID, UUID | None] = LRUCache(size)
        self.code_ids: LRUCache[bytes, UUID] = LRUCache(size)
        self.codes_of_reservations: LRUCache[UUID, UUID] = LRUCache(size)
        self.claimed: dict[UUID, Reservation] = {}
        self.full_refusals: LRUCache[tuple[UUID, str], bool] = LRUCache(size)

    def clear_states(self) -> None:
        """Drop every state that may be newer than the database, which may be another one by now."""
        self.codes.clear()
        self.campaigns.clear()
        self.claimed.clear()
