"""What one process remembers of committed state. A miss or an old entry costs time, never truth."""

from uuid import UUID

from eventsourcing.application import LRUCache

from domain.model.redeem_code import RedeemCode

CACHED_CODES_MAX = 10_000
"""Some 500 bytes each: aggregates and digests of the codes that this process saw last."""


class StoreCaches:
    """Aggregates, ids by digest of the code's text, streams of reservations; codes whose day of refusals is full."""

    def __init__(self, size: int = CACHED_CODES_MAX) -> None:
        self.codes: LRUCache[UUID, RedeemCode] = LRUCache(size)
        self.code_ids: LRUCache[bytes, UUID] = LRUCache(size)
        self.codes_of_reservations: LRUCache[UUID, UUID] = LRUCache(size)
        self.full_refusals: LRUCache[tuple[UUID, str], bool] = LRUCache(size)
