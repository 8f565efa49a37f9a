"""Facts about one reservation of a code."""

from datetime import datetime
from uuid import UUID

from domain.events.base import Event, Held, Kind, LateEffect, RefundCause
from domain.ports import Language


class ReservationEvent(Event, frozen=True, kw_only=True):
    """A fact about one reservation."""

    reservation_id: UUID


class ReservationStarted(ReservationEvent, frozen=True, kw_only=True):
    """What begins a reservation; never stored by itself.

    Attributes:
        recipient_id: Whose it is.
        deadline: Until when it is held.
        language: Of the letters.
        group: What the person is invited to.
        follows: The sent reservation after which this one was asked for.
        corrects: The reservation whose mistyped address this one replaces.
        waits_for: The reservation whose access must be removed before this invitation is sent (`InviteReleased`).
        validity_days: Days of access that were promised; None: without end.
        activated_at: When the access was first given, where that was not by this reservation's own invitation.
        moves: How often the access was moved to another group, this time included.
        announced: The last mark before the access ends that had passed before it was imported, in days. No email
            announces it.
    """

    recipient_id: UUID
    deadline: datetime
    language: Language
    group: str | None = None
    follows: UUID | None = None
    corrects: UUID | None = None
    waits_for: UUID | None = None
    validity_days: int | None = None
    activated_at: datetime | None = None
    moves: int = 0
    announced: int | None = None


class UseReserved(ReservationStarted, frozen=True, kw_only=True):
    """One use is held for one recipient until the deadline. `follows`: a further use was asked for (`again`)."""


class RebindReserved(ReservationStarted, frozen=True, kw_only=True):
    """An access is to be moved to another group; no use is held for it.

    `follows` names the reservation whose access it moves. `text_id`: the reason, in the vault.
    """

    text_id: UUID | None = None


class DeliveryEvent(ReservationEvent, frozen=True, kw_only=True):
    """A fact about one attempt at one delivery of a reservation, both counted from 1."""

    attempt: int
    delivery: int = 1
    kind: Kind = "redeem"


class InviteAttempted(DeliveryEvent, frozen=True, kw_only=True):
    """A worker holds the lease and begins to send."""

    lease_until: datetime
    channel: str


class InviteSent(DeliveryEvent, frozen=True, kw_only=True):
    """The mail server (or another channel) took the letter. The first one of a reservation counts the use."""

    server: str
    reply_code: int | None = None


class InviteFailed(DeliveryEvent, frozen=True, kw_only=True):
    """Surely not sent. `retry_at` None means final. `text_id` names the server's words in the vault.

    `about_connection`: the server never heard of the message, so the attempt is not spent.
    """

    server: str
    reason: str
    retry_at: datetime | None = None
    reply_code: int | None = None
    text_id: UUID | None = None
    about_connection: bool = False


class InviteDeferred(DeliveryEvent, frozen=True, kw_only=True):
    """The channel asked to come back later; no attempt is spent and the deadline moves."""

    server: str
    reason: str
    until: datetime
    deadline: datetime


class InviteOutcomeUnknown(DeliveryEvent, frozen=True, kw_only=True):
    """The letter may or may not have been sent. `retry_at` None means that a person has to decide."""

    cause: str
    server: str | None = None
    retry_at: datetime | None = None


class LateSuccessRecorded(DeliveryEvent, frozen=True, kw_only=True):
    """An attempt's success became known after its delivery had proved sent, or after the use was given back.

    `effect`: `retaken` counts the use again; a `duplicate` takes nothing; `not_retaken` comes with a case; `ended`
    takes nothing either, because the access has ended: a channel that was asked this late is told of the end again.
    """

    recipient_id: UUID
    server: str
    effect: LateEffect
    reply_code: int | None = None


class InviteBounced(ReservationEvent, frozen=True, kw_only=True):
    """A mail server gave a delivery back after it had taken it. `text_id` names its words in the vault."""

    reason: str
    delivery: int = 1
    reply_code: int | None = None
    text_id: UUID | None = None


class InviteAccepted(ReservationEvent, frozen=True, kw_only=True):
    """The person accepted the invitation of a delivery. `via`: by the letter's link, or a channel's callback."""

    via: str
    delivery: int = 1


class InviteReleased(ReservationEvent, frozen=True, kw_only=True):
    """The access that this invitation waited for is removed, so it may be sent. `deadline`: until when it is tried."""

    deadline: datetime


class UseRefunded(ReservationEvent, frozen=True, kw_only=True):
    """The use was given back. `held`: what it was until then. `text_id`: the note, in the vault."""

    cause: RefundCause
    held: Held
    kind: Kind = "redeem"
    text_id: UUID | None = None


class CaseOpened(ReservationEvent, frozen=True, kw_only=True):
    """Something only a person may decide. A reservation with an open case is parked: no machine touches it."""

    case_id: UUID
    cause: str
    delivery: int = 1


class CaseClosed(ReservationEvent, frozen=True, kw_only=True):
    """A person (or better knowledge) settled the case.

    `retry_at` and `deadline` are set where the machines go on: from when, and until when. `text_id`: the note.
    """

    case_id: UUID
    how: str
    retry_at: datetime | None = None
    deadline: datetime | None = None
    text_id: UUID | None = None


class ResendRequested(ReservationEvent, frozen=True, kw_only=True):
    """Staff asked for one more delivery of a sent invitation. It counts nothing, whatever becomes of it.

    `delivery` is the new one's number, `deadline` until when it is tried, `text_id` the reason, in the vault.
    """

    delivery: int
    deadline: datetime
    text_id: UUID | None = None


class NoteAdded(ReservationEvent, frozen=True, kw_only=True):
    """Staff wrote something down about a reservation. It changes nothing. `text_id`: the note, in the vault."""

    text_id: UUID
