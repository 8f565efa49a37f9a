"""Facts about the access that a sent invitation gave, and about its end."""

from datetime import datetime
from uuid import UUID

from domain.events.base import AccessEnding, RemovalEffect
from domain.events.reservation import ReservationEvent


class ExpiryAnnounced(ReservationEvent, frozen=True, kw_only=True):
    """A letter goes out that says that the access ends soon. `days`: the mark before the end at which it was due."""

    days: int


class AccessExpired(ReservationEvent, frozen=True, kw_only=True):
    """The time of the access is over. It is to be taken away.

    `notify` is false where that was before an import: then no channel is asked to remove it, and no email is sent.
    """

    notify: bool = True


class AccessReplaced(ReservationEvent, frozen=True, kw_only=True):
    """The invitation of a rebind was sent: the access in the former group is to be taken away.

    `by`: the rebind's reservation.
    """

    by: UUID


class AccessRevoked(ReservationEvent, frozen=True, kw_only=True):
    """Staff decided that the access is to be taken away; or it was, as the group's own system or an import says.

    `text_id`: the reason, in the vault.
    """

    text_id: UUID | None = None


class AccessCorrected(ReservationEvent, frozen=True, kw_only=True):
    """The use was moved to another email address: what the former one was given is to be removed.

    `by`: the reservation of the right address.
    """

    by: UUID


class AccessRemoved(ReservationEvent, frozen=True, kw_only=True):
    """What an ended access came to: the channel took it away, or could only tell the person (`effect`).

    `cause`: how it had ended.
    """

    channel: str
    server: str
    cause: AccessEnding
    effect: RemovalEffect = "removed"


class AccessRemovalFailed(ReservationEvent, frozen=True, kw_only=True):
    """An ended access was not taken away. `attempt`: counted from 1. `retry_at` None: it is for a person now.

    `text_id` names the channel's words in the vault.
    """

    channel: str
    server: str
    cause: AccessEnding
    reason: str
    attempt: int
    retry_at: datetime | None = None
    text_id: UUID | None = None
