"""Facts about one reservation of a code."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from domain.events.event import Event, HeldAs, Kind, LateEffect, RefundCause, ReportedMail
from domain.ports import Language


class ReservationEvent(Event, frozen=True, kw_only=True):
    """A fact about one reservation.

    Attributes:
        reservation_id: The reservation.
    """

    reservation_id: UUID


class ReservationStarted(ReservationEvent, frozen=True, kw_only=True):
    """The start of a reservation: the fields that `UseReserved` and `RebindReserved` share. It is never stored itself.

    Attributes:
        recipient_id: The recipient, by their random id.
        deadline: Time at which the reservation is refunded if nothing was sent.
        language: Language of its emails.
        group: What the recipient is invited to.
        follows: The sent reservation that this one follows (`again`), or whose access a rebind moves.
        corrects: The reservation whose mistyped email address this one replaces.
        waits_for: The reservation whose access must be removed before this invitation is sent
            (`InviteReleased`).
        validity_days: Access duration in days; none: no expiry.
        activated_at: Time of the first activation, if it was not by this reservation's own invitation.
        moves: How often the access was moved to another group, including this time.
        announced: Days before the expiry of the last warning that had passed before an import. No email
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


ReservationFlag = Literal["throwaway"]
"""What staff may want to look at about a reservation."""


class UseReserved(ReservationStarted, frozen=True, kw_only=True):
    """One use is reserved for one recipient until the deadline.

    Attributes:
        remind_days: How many days before the expiry the recipient is reminded if the invitation is not accepted; none:
            not at all.
        flag: What staff may want to look at: `throwaway`, the campaign flags addresses that are thrown away soon.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "use"

    remind_days: int | None = None
    flag: ReservationFlag | None = None


class RebindReserved(ReservationStarted, frozen=True, kw_only=True):
    """An access grant is to be moved to another group. No use is reserved for it.

    Attributes:
        text_id: The reason, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    text_id: UUID | None = None


class DeliveryEvent(ReservationEvent, frozen=True, kw_only=True):
    """A fact about one attempt of one delivery of a reservation.

    Attributes:
        attempt: Number of the attempt, from 1.
        delivery: Number of the delivery, from 1; resends increase it.
        kind: Kind of the reservation.
    """

    attempt: int
    delivery: int = 1
    kind: Kind = "redeem"


class InviteAttempted(DeliveryEvent, frozen=True, kw_only=True):
    """A worker owns the lease and starts to send.

    Attributes:
        lease_until: End of the lease.
        channel: Name of the channel that sends.
    """

    IMPORTANCE = "noise"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    lease_until: datetime
    channel: str


LINK: Final = "link"
CALLBACK: Final = "callback"
BY_STAFF: Final = "staff"
"""What proves that a message was accepted, in the place of a server: its opened link, a channel's callback, staff."""


class OutcomeEvent(DeliveryEvent, frozen=True, kw_only=True):
    """The outcome of an attempt: what those events share. It is never stored itself.

    Attributes:
        ms_ago: What was measured of the attempt, in milliseconds before the event was recorded: the wake-up message,
            the start of sending, the outcome, and as far as it came the connection and the server's request for the
            message's content. Empty if nothing was measured.
    """

    ms_ago: tuple[int, ...] = ()


class InviteSent(OutcomeEvent, frozen=True, kw_only=True):
    """The mail server, or another channel, accepted the invitation. The first one of a reservation counts the use.

    Attributes:
        server: Host and port of the server, or how it became known.
        reply_code: The server's reply code.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "use"

    server: str
    reply_code: int | None = None


class InviteFailed(OutcomeEvent, frozen=True, kw_only=True):
    """The invitation was definitely not sent.

    Attributes:
        server: Host and port of the server.
        reason: Why, as a word such as `address_refused` or `temporary`.
        retry_at: Time of the next attempt; none: the failure is final.
        reply_code: The server's reply code.
        text_id: The server's reply, in the vault.
        about_connection: True if the server never received the message, so that the attempt is not spent.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    server: str
    reason: str
    retry_at: datetime | None = None
    reply_code: int | None = None
    text_id: UUID | None = None
    about_connection: bool = False


class InviteDeferred(OutcomeEvent, frozen=True, kw_only=True):
    """The channel asked to retry later. No attempt is spent, and the deadline moves.

    Attributes:
        server: Host and port of the server.
        reason: Why, in one word.
        until: Time before which it is not asked again.
        deadline: The new deadline.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    server: str
    reason: str
    until: datetime
    deadline: datetime


class InviteOutcomeUnknown(OutcomeEvent, frozen=True, kw_only=True):
    """The invitation may or may not have been sent.

    Attributes:
        cause: Why, as a word such as `connection_lost` or `lease_expired`.
        server: Host and port of the server, if known.
        retry_at: Time of the next attempt; none: staff have to decide.
    """

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    cause: str
    server: str | None = None
    retry_at: datetime | None = None


class LateSuccessRecorded(OutcomeEvent, frozen=True, kw_only=True):
    """A success became known after its delivery had been sent, or after the use was refunded.

    Attributes:
        recipient_id: The recipient, by their random id.
        server: Host and port of the server, or how it became known.
        effect: `retaken` counts the use again; `duplicate` changes nothing; `not_retaken` comes with a case;
            `ended` changes nothing because the access has ended.
        reply_code: The server's reply code.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "use"

    recipient_id: UUID
    server: str
    effect: LateEffect
    reply_code: int | None = None


class MailReportEvent(ReservationEvent, frozen=True, kw_only=True):
    """A later report about an email: what those events share. It is never stored itself.

    Attributes:
        delivery: Number of the delivery.
        mail: The invitation itself, or a further email about it (`notice`).
        text_id: The report or the server's reply, in the vault.
    """

    delivery: int = 1
    mail: ReportedMail = "invite"
    text_id: UUID | None = None


class InviteBounced(MailReportEvent, frozen=True, kw_only=True):
    """A mail server returned an email that it had accepted.

    Attributes:
        reason: Why: `mailbox_unknown`, `domain_unknown`, `mailbox_full`, `expired`, `refused` or `other`.
        reply_code: The server's reply code.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"

    reason: str
    reply_code: int | None = None


class InviteDelayed(MailReportEvent, frozen=True, kw_only=True):
    """A mail server has not delivered an email yet, and goes on trying."""

    IMPORTANCE = "step"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"


class InviteComplained(MailReportEvent, frozen=True, kw_only=True):
    """The recipient reported an email as unwanted. They get no more emails of this group without a request."""

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "problem"


class InviteAccepted(ReservationEvent, frozen=True, kw_only=True):
    """The recipient accepted the invitation.

    Attributes:
        via: `link` for the email's link, or the channel that reported it.
        delivery: Number of the delivery.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    via: str
    delivery: int = 1


class InviteReleased(ReservationEvent, frozen=True, kw_only=True):
    """The access that this invitation waited for is removed, so it can be sent.

    Attributes:
        deadline: The new deadline.
    """

    IMPORTANCE = "noise"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "neutral"

    deadline: datetime


class UseRefunded(ReservationEvent, frozen=True, kw_only=True):
    """The use was refunded.

    Attributes:
        cause: Why.
        held: State of the use before the refund: reserved or sent.
        kind: Kind of the reservation.
        text_id: The note, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = True
    MEANING = "refund"

    cause: RefundCause
    held: HeldAs
    kind: Kind = "redeem"
    text_id: UUID | None = None


class CaseOpened(ReservationEvent, frozen=True, kw_only=True):
    """Staff have to decide something. The system does not touch a reservation with an open case.

    Attributes:
        case_id: The case.
        cause: Why, as a word such as `unknown_outcome` or `bounced`.
        delivery: Number of the delivery.
    """

    IMPORTANCE = "outcome"
    LANDMARK = True
    CHANGES_STATE = False
    MEANING = "problem"

    case_id: UUID
    cause: str
    delivery: int = 1


class CaseClosed(ReservationEvent, frozen=True, kw_only=True):
    """Staff, or later proof, resolved the case.

    Attributes:
        case_id: The case.
        how: The result, as a word such as `resolved_sent`.
        retry_at: Time of the next attempt, if sending continues.
        deadline: The new deadline, if sending continues.
        text_id: The note, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    case_id: UUID
    how: str
    retry_at: datetime | None = None
    deadline: datetime | None = None
    text_id: UUID | None = None


class ResendRequested(ReservationEvent, frozen=True, kw_only=True):
    """Staff requested a new delivery of a sent invitation. It counts no use.

    Attributes:
        delivery: Number of the new delivery.
        deadline: Time until which it is attempted.
        text_id: The reason, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    delivery: int
    deadline: datetime
    text_id: UUID | None = None


class InviteLinkRevealed(ReservationEvent, frozen=True, kw_only=True):
    """Staff saw the link of an invitation, to hand it over by other means than email.

    Attributes:
        delivery: Number of the delivery whose link it is.
        text_id: The reason, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    delivery: int
    text_id: UUID | None = None


class NoteAdded(ReservationEvent, frozen=True, kw_only=True):
    """Staff added a note to a reservation. It changes no state.

    Attributes:
        text_id: The note, in the vault.
    """

    IMPORTANCE = "outcome"
    LANDMARK = False
    CHANGES_STATE = False
    MEANING = "staff"

    text_id: UUID
