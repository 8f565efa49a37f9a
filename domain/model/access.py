"""The access that a sent invitation gives: for how long, when its person is told of the end, and how it ends.

An access ends because its time is over, because a rebind took its place, because its address was corrected, or because
staff revoked it. Then the channel is asked to take it away, and what that came to is recorded too.
"""

from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from domain.events.base import AccessEnding
from domain.values.timestamps import shifted

WARNING_DAYS: Final = (7, 3, 1)
"""So many days before the end its person is told, as in the system before this one."""

Removal = Literal["removing", "removed", "told", "removal_failed"]
"""How far taking away is: the words of the system before this one; `told`: the channel can take nothing away."""


class Access(Struct, frozen=True, kw_only=True, gc=False):
    """Part of a reservation's state; there only where there is something to say.

    Attributes:
        validity_days: Days of access that were promised; None: without end.
        activated_at: When it was first given, where that was not by this reservation's own invitation.
        moves: How often it was moved to another group, this reservation included.
        announced: The marks of `WARNING_DAYS` of which its person was told.
        ending: How it ended; None while it stands.
        ended_at: When it ended.
        replaced_by: The reservation that took its place: a rebind, or that of the right address.
        removal: How far taking it away is; None while it stands, or where it ended before an import.
        removal_attempts: How often that failed.
        removal_at: When a machine may try (again).
    """

    validity_days: int | None = None
    activated_at: datetime | None = None
    moves: int = 0
    announced: tuple[int, ...] = ()
    ending: AccessEnding | None = None
    ended_at: datetime | None = None
    replaced_by: UUID | None = None
    removal: Removal | None = None
    removal_attempts: int = 0
    removal_at: datetime | None = None

    def ends_at(self, sent_at: datetime | None) -> datetime | None:
        """When its time is over; None without an end, or before it begins.

        Args:
            sent_at: When its own invitation was sent.
        """
        begun = self.activated_at or sent_at
        if begun is None or self.validity_days is None:
            return None
        return shifted(begun, timedelta(days=self.validity_days))

    def due_at(self, sent_at: datetime | None, *, is_sent: bool) -> datetime | None:
        """When a machine has something to do about it: tell of its end, end it, or have it taken away."""
        if self.ending is not None:
            return self.removal_at
        ends_at = self.ends_at(sent_at)
        if not is_sent or sent_at is None or ends_at is None:
            return None
        last = min(self.announced, default=None)
        for days in WARNING_DAYS:
            mark = shifted(ends_at, -timedelta(days=days))
            if mark > sent_at and (last is None or days < last):
                return mark
        return ends_at

    def mark_at(self, sent_at: datetime, now: datetime) -> int | None:
        """The mark of which its person is to be told now: the nearest one that is past; None if they were."""
        ends_at = self.ends_at(sent_at)
        if ends_at is None or ends_at <= now:
            return None
        last = min(self.announced, default=None)
        passed = [days for days in WARNING_DAYS if sent_at < shifted(ends_at, -timedelta(days=days)) <= now]
        nearest = min(passed, default=None)
        return None if nearest is None or (last is not None and nearest >= last) else nearest
