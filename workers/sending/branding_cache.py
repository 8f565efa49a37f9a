"""The brandings of groups, kept for seconds: thousands of emails of one group read its logo once."""

from collections.abc import Callable
from threading import Lock
from typing import Final

from domain.values.email_branding import EmailBranding

KEPT_S: Final = 10.0
"""Seconds after which a changed logo or color is in each email that a worker begins to send."""
GROUPS_MAX: Final = 64
"""Groups whose branding is kept: logos of 4 MiB at most."""


class BrandingCache:
    """Finds brandings, and keeps them for `KEPT_S`. For any number of threads.

    Args:
        find: Reads the branding of a group.
        clock: Monotonic seconds.
    """

    def __init__(self, find: Callable[[str], EmailBranding], clock: Callable[[], float]) -> None:
        self._find, self._clock = find, clock
        self._entries: dict[str, tuple[float, EmailBranding]] = {}
        self._lock = Lock()

    def find(self, group: str) -> EmailBranding:
        """Return how the emails of a group look.

        Raises:
            StorageUnavailableError: The database is unavailable, and nothing is kept.
        """
        now = self._clock()
        with self._lock:
            entry = self._entries.get(group)
        if entry is not None and now - entry[0] < KEPT_S:
            return entry[1]
        branding = self._find(group)
        with self._lock:
            self._entries.pop(group, None)
            if len(self._entries) >= GROUPS_MAX:
                del self._entries[next(iter(self._entries))]  # the one that was read first
            self._entries[group] = now, branding
        return branding
