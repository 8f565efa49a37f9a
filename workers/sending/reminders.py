"""What is asked immediately before a reminder is sent: its recipient's opt-out, and what the campaign says now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from domain.events.campaign import CampaignTerms
from domain.model.reservation import Reservation
from domain.ports import OptOuts
from domain.values.quiet_hours import find_end_of_quiet_hours

OPTED_OUT: Final = "opted_out"
"""Outcome of a reminder that the recipient does not want. Notices about what happened to a use are sent anyway."""
SUPPRESSED: Final = "suppressed"
"""Outcome of a notice to an address that is not written to: it does not exist, or its owner complained."""


@dataclass(frozen=True, slots=True)
class ReminderRules:
    """Who wants no reminders, and what the campaign of a code says about them.

    Attributes:
        opt_outs: Recipients who want no reminders.
        find_terms: Returns the present terms of the campaign that a code belongs to; None if it belongs to none.
    """

    opt_outs: OptOuts
    find_terms: Callable[[UUID], CampaignTerms | None]

    def has_opted_out(self, reservation: Reservation) -> bool:
        """Return whether the recipient wants no reminders of the group."""
        return bool(self.opt_outs.find_opted_out([reservation.recipient_id], reservation.group))

    def is_suppressed(self, reservation: Reservation) -> bool:
        """Return whether the recipient's address is not written to."""
        return self.opt_outs.is_suppressed(reservation.recipient_id, reservation.group)

    def is_wanted(self, reservation: Reservation, now: datetime) -> bool:
        """Return whether a reminder to accept an invitation would still be true, and the campaign still wants it."""
        if reservation.accepted_at is not None or not reservation.has_active_access or reservation.is_access_over(now):
            return False
        if reservation.bounced_at is not None or reservation.case_id is not None:
            return False
        terms = self.find_terms(reservation.code_id)
        return terms is not None and terms.remind_days is not None

    def find_end_of_quiet_hours(self, reservation: Reservation, now: datetime) -> datetime | None:
        """Return when the quiet hours of the campaign end; None if it is none of them now."""
        terms = self.find_terms(reservation.code_id)
        if terms is None or terms.quiet_hours is None:
            return None
        return find_end_of_quiet_hours(terms.quiet_hours, now)
