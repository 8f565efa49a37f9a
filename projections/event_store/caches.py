"""Caches of committed state in one process. A miss or an old entry costs time and never changes a result."""

from uuid import UUID

from eventsourcing.application import LRUCache

from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode

CACHED_CODES_MAX = 10_000
"""Codes whose state and digest this process keeps, about 500 bytes each."""


class StoreCaches:
    """Codes and campaigns, the ids and campaigns of codes, and streams of reservations.

    `full_refusals`: codes whose daily rejections are all recorded.
    """

    def __init__(self, size: int = CACHED_CODES_MAX) -> None:
        self.codes: LRUCache[UUID, RedeemCode] = LRUCache(size)
        self.campaigns: LRUCache[UUID, Campaign] = LRUCache(size)
        self.campaigns_of_codes: LRUCache[UUID, UUID | None] = LRUCache(size)
        self.code_ids: LRUCache[bytes, UUID] = LRUCache(size)
        self.codes_of_reservations: LRUCache[UUID, UUID] = LRUCache(size)
        self.full_refusals: LRUCache[tuple[UUID, str], bool] = LRUCache(size)
