"""Facts about the access that a sent invitation gave, and about its end."""

from datetime import datetime
from uuid import UUID

from domain.events.event import AccessEnding, RemovalEffect
from domain.events.reservation import ReservationEvent


class ExpiryAnnounced(ReservationEvent, frozen=True, kw_only=True):
    """The recipient is warned that the access expires soon.

    Attributes:
        days: Days before the expiry at which the warning was due.
    """

    IMPORTANCE = "noise"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    days: int


class InviteReminded(ReservationEvent, frozen=True, kw_only=True):
    """A reminder is due, because the invitation is not accepted yet.

    Attributes:
        days: Days before the expiry at which the reminder was due.
    """

    IMPORTANCE = "noise"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    days: int


class AccessExpired(ReservationEvent, frozen=True, kw_only=True):
    """The access grant has expired. The channel is asked to remove the access.

    Attributes:
        notify: False if the expiry was before an import: then no channel is asked, and no email is sent.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    notify: bool = True


class AccessReplaced(ReservationEvent, frozen=True, kw_only=True):
    """The invitation of a rebind was sent. The access in the former group is to be removed.

    Attributes:
        by: The reservation of the rebind.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    by: UUID


class AccessRevoked(ReservationEvent, frozen=True, kw_only=True):
    """Staff revoked the access, or an external system or an import reported that it was removed.

    Attributes:
        text_id: The reason, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    text_id: UUID | None = None


class AccessCorrected(ReservationEvent, frozen=True, kw_only=True):
    """The use was moved to another email address. The access of the former address is to be removed.

    Attributes:
        by: The reservation of the correct address.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    by: UUID


class AccessRemoved(ReservationEvent, frozen=True, kw_only=True):
    """The channel removed ended access, or could only notify the recipient.

    Attributes:
        channel: Name of the channel.
        server: Host and port of the server.
        cause: How the access had ended.
        effect: `removed`, or `told` if the channel cannot remove access.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    channel: str
    server: str
    cause: AccessEnding
    effect: RemovalEffect = "removed"


class AccessRemovalFailed(ReservationEvent, frozen=True, kw_only=True):
    """The channel did not remove ended access.

    Attributes:
        channel: Name of the channel.
        server: Host and port of the server.
        cause: How the access had ended.
        reason: Why, as a word such as `timeout`.
        attempt: Number of attempts that count, this one included; one without a connection does not count.
        retry_at: Time of the next attempt; none: a case is opened.
        text_id: The channel's reply, in the vault.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    channel: str
    server: str
    cause: AccessEnding
    reason: str
    attempt: int
    retry_at: datetime | None = None
    text_id: UUID | None = None
