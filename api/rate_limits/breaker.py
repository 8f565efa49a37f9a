"""The circuit breaker over all clients: it opens when most requested codes do not exist.

Code guessing from many addresses stays below the limit of each, but raises the share of unknown codes.
"""

from typing import Final

UNKNOWN_MAX: Final = 100
"""Unknown codes within the window below which the breaker never opens."""
SHARE_MAX: Final = 0.5
"""Share of unknown codes among these and new redeems. Repeated redeems don't count, because they could hide guesses."""
WINDOW_S: Final = 60
OPEN_S: Final = 60.0
"""Seconds for which it stays open after the last request that would have opened it."""

_SLOT_S: Final = 5
_SLOTS: Final = WINDOW_S // _SLOT_S


class Breaker:
    """Counts unknown codes and redeems of the last minute, in slots of 5 seconds."""

    def __init__(self) -> None:
        self._unknown = [0] * _SLOTS
        self._redeemed = [0] * _SLOTS
        self._slot = 0
        self._open_until = float("-inf")

    def is_open(self, now: float) -> bool:
        """Return whether it is open."""
        return now < self._open_until

    def wait_s(self, now: float) -> float:
        """Return for how many seconds it stays open without further requests; 0 while it is closed."""
        return max(0.0, self._open_until - now)

    def add(self, now: float, *, unknown: int = 0, redeemed: int = 0) -> bool:
        """Count requests, also those that it rejected, so that it stays open while they continue.

        Args:
            now: When they were made; counts of other processes are a little late.
            unknown: Codes that don't exist.
            redeemed: Redeems that made a reservation.

        Returns:
            Whether this opened it.
        """
        slot = int(now // _SLOT_S)
        self._advance(slot)
        if slot <= self._slot - _SLOTS:
            return False
        self._unknown[slot % _SLOTS] += unknown
        self._redeemed[slot % _SLOTS] += redeemed
        if not unknown:
            return False
        wrong, right = sum(self._unknown), sum(self._redeemed)
        if wrong < UNKNOWN_MAX or wrong < SHARE_MAX * (wrong + right):
            return False
        was_open = self.is_open(now)
        self._open_until = max(self._open_until, now + OPEN_S)
        return not was_open

    def _advance(self, slot: int) -> None:
        """Empty the slots that are over."""
        for passed in range(max(self._slot + 1, slot - _SLOTS + 1), slot + 1):
            self._unknown[passed % _SLOTS] = self._redeemed[passed % _SLOTS] = 0
        self._slot = max(self._slot, slot)
