"""The time in which a code can be redeemed."""

from datetime import datetime
from typing import NamedTuple


class RedeemWindow(NamedTuple):
    """A time with a start, an end, both or neither."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def intersect(self, other: "RedeemWindow") -> "RedeemWindow":
        """Return the time that is in both: that of a code, and that of its campaign."""
        starts = [each for each in (self.starts_at, other.starts_at) if each is not None]
        ends = [each for each in (self.ends_at, other.ends_at) if each is not None]
        return RedeemWindow(max(starts, default=None), min(ends, default=None))

    def without_past_start(self, at: datetime) -> "RedeemWindow":
        """Return the time without a start that has passed by a time."""
        has_started = self.starts_at is not None and self.starts_at <= at
        return RedeemWindow(None, self.ends_at) if has_started else self
