"""Addresses that are not written to for a time, because they do not exist or their owners complained."""

from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, get_args

from domain.events.event import Event
from domain.events.hand_out import HandOutBounced, HandOutComplained
from domain.events.reservation import InviteBounced, InviteComplained

SuppressionCause = Literal["mailbox_unknown", "domain_unknown", "complained"]
ReportKind = Literal["bounced", "delayed", "complained"]
"""What a mail server or a recipient reports of an email."""
CAUSES: Final[tuple[SuppressionCause, ...]] = get_args(SuppressionCause)
SUPPRESSING: Final = frozenset({InviteBounced, InviteComplained, HandOutBounced, HandOutComplained})
"""Types of events that may lead to one."""
DURATIONS: Final[dict[SuppressionCause, timedelta]] = {
    "mailbox_unknown": timedelta(days=90),
    "domain_unknown": timedelta(days=30),
    "complained": timedelta(days=365),
}
"""How long each lasts: domains and mailboxes come back sooner than a person changes their mind."""


class Suppression(NamedTuple):
    """Why an address is not written to.

    Attributes:
        group: The group whose emails are not sent; None for emails of codes that name no group.
        is_of_group: Whether only emails of that group are not sent; otherwise none is.
    """

    cause: SuppressionCause
    group: str | None = None
    is_of_group: bool = False

    def covers(self, group: str | None) -> bool:
        """Return whether no email of a group is sent."""
        return not self.is_of_group or self.group == group


def find_suppression(kind: ReportKind, reason: str | None, group: str | None) -> Suppression | None:
    """Return what a report about an email of a group leads to; None if its address may be written to.

    A full mailbox, a server that refuses mail of this sender, or one that could not be reached says nothing about the
    address.
    """
    if kind == "complained":
        return Suppression("complained", group, is_of_group=True)
    cause = next((cause for cause in CAUSES if cause == reason), None)
    return Suppression(cause) if kind == "bounced" and cause is not None else None


def suppression_after(event: Event, group: str | None) -> Suppression | None:
    """Return what an event of a report about an email of a group leads to."""
    if isinstance(event, InviteComplained | HandOutComplained):
        return find_suppression("complained", None, group)
    if isinstance(event, InviteBounced | HandOutBounced):
        return find_suppression("bounced", event.reason, group)
    return None


def suppressed_until(cause: SuppressionCause, since: datetime) -> datetime:
    """Return when an address may be written to again."""
    return since + DURATIONS[cause]
