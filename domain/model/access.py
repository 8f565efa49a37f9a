"""The access that a sent invitation gives: its duration, the warnings before its expiry, and its end.

An access ends when it expires, a rebind replaces it, its email address is corrected, or staff revoke it. Then the
channel is asked to remove it, and the result is recorded too.
"""

from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from domain.events.event import AccessEnding
from domain.values.timestamps import is_impossible, shifted

WARNING_DAYS: Final = (7, 3, 1)
"""Days before the expiry at which the recipient is warned, as in the legacy system."""

Removal = Literal["removing", "removed", "told", "removal_failed"]
"""State of the removal, in the words of the legacy system; `told`: the channel cannot remove access."""


class Access(Struct, frozen=True, kw_only=True, gc=False):
    """The access part of a reservation's state; None of it is stored for an access without terms or history.

    Attributes:
        validity_days: Days of access that were promised; None: without end.
        activated_at: When it was first given, where that was not by this reservation's own invitation.
        moves: How often it was moved to another group, this reservation included.
        announced: The marks of `WARNING_DAYS` at which its recipient was warned.
        remind_days: Days before the expiry at which its recipient is reminded to accept; None: no reminder.
        reminded: The days of the reminder, once it is due; it stands for the warnings until then.
        ending: How it ended; None while it is active.
        ended_at: When it ended.
        replaced_by: The reservation that took its place: a rebind, or that of the right address.
        removal: State of its removal; None while it is active, or if it ended before an import.
        removal_attempts: How often that failed.
        removal_at: Time of the next attempt at the removal.
        removal_timed_at: When that time was stored, by the clock of that time.
    """

    validity_days: int | None = None
    activated_at: datetime | None = None
    moves: int = 0
    announced: tuple[int, ...] = ()
    remind_days: int | None = None
    reminded: int | None = None
    ending: AccessEnding | None = None
    ended_at: datetime | None = None
    replaced_by: UUID | None = None
    removal: Removal | None = None
    removal_attempts: int = 0
    removal_at: datetime | None = None
    removal_timed_at: datetime | None = None

    def ends_at(self, sent_at: datetime | None) -> datetime | None:
        """Return when the access expires; None without an expiry, or before it begins.

        Args:
            sent_at: When its own invitation was sent.
        """
        begun = self.activated_at or sent_at
        if begun is None or self.validity_days is None:
            return None
        return shifted(begun, timedelta(days=self.validity_days))

    def is_removal_due(self, now: datetime) -> bool:
        """Return whether the channel is to be asked now to remove the access."""
        if self.removal_at is None:
            return False
        timed_at = self.removal_timed_at
        return self.removal_at <= now or (timed_at is not None and is_impossible(timed_at, now))

    @property
    def last_mark(self) -> int | None:
        """The nearest mark to the expiry at which its recipient was warned or reminded; None before the first."""
        marks = self.announced if self.reminded is None else (*self.announced, self.reminded)
        return min(marks, default=None)

    def reminder_at(self, sent_at: datetime, *, is_accepted: bool) -> datetime | None:
        """Return when the reminder of an unaccepted invitation is due; None if there is to be none, or it was due."""
        ends_at = self.ends_at(sent_at)
        if is_accepted or ends_at is None or self.remind_days is None or self.reminded is not None:
            return None
        mark = shifted(ends_at, -timedelta(days=self.remind_days))
        return mark if mark > sent_at else None

    def due_at(self, sent_at: datetime | None, *, is_sent: bool, is_accepted: bool = False) -> datetime | None:
        """Return when something is due: a reminder, a warning, the end, or the removal."""
        if self.ending is not None:
            return self.removal_at
        ends_at = self.ends_at(sent_at)
        if not is_sent or sent_at is None or ends_at is None:
            return None
        last, due_at = self.last_mark, ends_at
        for days in WARNING_DAYS:
            mark = shifted(ends_at, -timedelta(days=days))
            if mark > sent_at and (last is None or days < last):
                due_at = mark
                break
        reminder_at = self.reminder_at(sent_at, is_accepted=is_accepted)
        return due_at if reminder_at is None else min(due_at, reminder_at)

    def mark_at(self, sent_at: datetime, now: datetime) -> int | None:
        """Return the warning that is due now: the nearest mark that has passed; None if it was sent."""
        ends_at = self.ends_at(sent_at)
        if ends_at is None or ends_at <= now:
            return None
        last = self.last_mark
        passed = [days for days in WARNING_DAYS if sent_at < shifted(ends_at, -timedelta(days=days)) <= now]
        nearest = min(passed, default=None)
        return None if nearest is None or (last is not None and nearest >= last) else nearest
