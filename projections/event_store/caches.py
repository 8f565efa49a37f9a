"""Caches of committed state in one process. A miss or an old entry costs time and never changes a result."""

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Generic, TypeVar
from uuid import UUID

from domain.model.campaign import Campaign
from domain.model.redeem_code import RedeemCode
from domain.model.reservation import Reservation

CACHED_CODES_MAX = 10_000
"""Codes whose state and digest this process keeps, about 500 bytes each."""
CLAIMED_MAX = 1_000
"""Claimed reservations whose state this process keeps until their outcome: many more than it sends at a time."""


K = TypeVar("K")
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """The most recently used values, for several threads.

    The library's own stays full in part when it is cleared, and then fails. It is not slower than that one.
    """

    __slots__ = ("_lock", "_size", "_values")

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V:
        """Return the value of a key.

        Raises:
            KeyError: There is none, or no longer.
        """
        with self._lock:
            value = self._values[key]
            self._values.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> None:
        """Store a value; the one that was not used for the longest time makes room for it."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._size:
                self._values.popitem(last=False)


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

    def publish_claims(self, changed: Iterable[Reservation]) -> None:
        """Store the reservations that a committed transaction claimed, and drop those that it ended."""
        for reservation in changed:
            if reservation.lease is None:
                self.claimed.pop(reservation.reservation_id, None)
                continue
            if len(self.claimed) >= CLAIMED_MAX:
                self.claimed.clear()
            self.claimed[reservation.reservation_id] = reservation
