"""Ports of the domain: channels that send messages and remove access, drafts for the vault, steps of a pipeline.

A channel reports one of four outcomes. It must distinguish "not sent" from "may be sent": a reservation whose outcome
is unknown is never refunded automatically.
"""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Literal, NamedTuple, Protocol, TypeVar
from uuid import UUID

from domain.values.email_branding import DEFAULT_BRANDING, EmailBranding
from domain.values.identifiers import EmailAddress
from domain.values.mail.mail_token import MailRef

ADDRESS_MISMATCH: Final = "address_mismatch"
"""Reason of a rejection, and cause of its case: the recipient's row in the vault was altered."""
RECIPIENT_FORGOTTEN: Final = "recipient_forgotten"
"""Reason of a rejection: the data of the recipient was erased, so there is no address."""
Language = Literal["zh", "en"]
Template = Literal[
    "invite",
    "refund_notice",
    "rebind_notice",
    "correction_notice",
    "move_notice",
    "ends_soon",
    "farewell",
    "invite_reminder",
    "hand_out",
    "hand_out_reminder",
    "staff_invitation",
    "staff_password",
    "threshold_digest",
    "waiting_offer",
]
HAND_OUT_TEMPLATES: Final[frozenset[Template]] = frozenset({"hand_out", "hand_out_reminder"})
RemovalCause = Literal["expired", "moved", "withdrawn", "corrected"]
EMAIL_CHANNELS: Final = frozenset({"smtp", "null"})
"""Names of the channels that send emails and cannot remove access: an email's link ends with a refund."""


T = TypeVar("T")
PipelineSteps = Generator[None, None, T]
"""Work that steps aside where the store may still be busy with an answer; going on at once only means to wait there."""


def run_to_completion(execute_steps: PipelineSteps[T]) -> T:
    """Do work in one go, waiting wherever it steps aside."""
    while True:
        try:
            next(execute_steps)
        except StopIteration as error:
            result: T = error.value
            return result


CODES_FILE: Final = "codes.csv"
"""The file that lists several codes. A hand-out's own text names it where it names the code."""


class ListedCode(NamedTuple):
    """One of several codes of a message: as users read it, the link that fills it in, and its end."""

    code: str
    link: str
    ends_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundMessage:
    """One message to one recipient.

    Every attempt at the same message is equal to the last byte, if its group's texts and branding are.

    Attributes:
        reservation_id: The reservation that the message belongs to; of a handed-out code, the id of the code; of an
            offer, the id of the place on the waiting list; of a message to staff, a random id.
        template: Which text to send: the invitation, the notice that nothing was used (of a rebind: that the
            access stays as it is), that the invitation was moved to another email address, that the access was moved to
            another group, that the access ends soon, that it has ended, or that the invitation is not accepted yet;
            a handed-out code, or the reminder that it is not redeemed yet; an offered use; the link by which a member
            of staff chooses a password, as an invitation or on request; or the thresholds that were crossed, to
            operators.
        message_id: RFC 5322 Message-ID with its angle brackets, the same on every attempt.
        recipient: The recipient's email address.
        language: Language of subject and text.
        link: Absolute URL: where the invitation is accepted, or where to try again.
        written_at: Aware UTC time for the Date header, the same on every attempt.
        group: Name of the group that the person is invited to, if the code names one.
        request_id: The request that reserved it, the same on every attempt; it leads to the logs of the request.
        subject: The group's own subject; empty for the default.
        text: The group's own text, with `{group}` for its name; empty for the default.
        branding: How the group's emails look.
        delivery: Number of the delivery, from 1.
        is_test: It invites no recipient: an admin tests the channel.
        ends_at: When the access ends, or until when the handed-out code (of several, the first to end) can be redeemed
            or the link be used, where the message says so.
        starts_at: From when the handed-out code can be redeemed, if that is after `written_at`.
        opt_out_link: Absolute URL where the recipient opts out; empty for messages that follow from a request.
        code: The handed-out code as users read it; empty for all other messages.
        code_suffix: Last characters of the code by which the recipient joined a waiting list, where the email names it;
            empty for all other messages. External systems do not get it.
        codes: The codes that a partner gets in one message; empty for all other messages.
        total: How many codes the partner has, also those that the message leaves out; None for all other messages.
        various_ends: How many ends the codes of a partner have; None if they have one, and for all other messages.
        listed: Lines about crossed thresholds; empty for all other messages.
        attempt: Number of the attempt at an invitation, or of the email of a handed-out code, from 1; a late reply is
            recorded by it. No part of what is sent.
    """

    reservation_id: UUID
    template: Template
    message_id: str
    recipient: EmailAddress
    language: Language
    link: str
    written_at: datetime
    group: str | None = None
    request_id: str | None = None
    subject: str = ""
    text: str = ""
    branding: EmailBranding = DEFAULT_BRANDING
    delivery: int = 1
    is_test: bool = False
    ends_at: datetime | None = None
    starts_at: datetime | None = None
    opt_out_link: str = ""
    code: str = ""
    code_suffix: str = ""
    codes: tuple[ListedCode, ...] = ()
    total: int | None = None
    various_ends: int | None = None
    listed: str = ""
    attempt: int = field(default=1, compare=False)

    @property
    def count(self) -> int | None:
        """How many codes it lists; None if it is not about several."""
        return len(self.codes) or None

    @property
    def ref(self) -> MailRef:
        """The email, as a report names it."""
        if self.template in HAND_OUT_TEMPLATES:
            return MailRef("hand_out", self.reservation_id, self.attempt)
        if self.template == "waiting_offer":
            return MailRef("offer", self.reservation_id, self.delivery)
        return MailRef("invite" if self.template == "invite" else "notice", self.reservation_id, self.delivery)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """An access that has ended and is to be removed.

    Attributes:
        reservation_id: The reservation whose invitation gave it; the same on every attempt.
        cause: It expired, a rebind replaced it, staff revoked it, or its email address was corrected.
        ended_at: When it ended; the same on every attempt.
        recipient: Email address of the recipient; None if their data was erased.
        group: Name of the group that it was given in, if the code named one.
        farewell: The notice for a channel that sends messages; None if there is none.
    """

    reservation_id: UUID
    cause: RemovalCause
    ended_at: datetime
    recipient: EmailAddress | None
    group: str | None
    farewell: OutboundMessage | None


class SendTimes(NamedTuple):
    """When one attempt to send came how far, in seconds of the sender's monotonic clock.

    Attributes:
        begun: Start of the attempt.
        ended: The outcome.
        connected: A connection was ready; None if none was.
        content: The server asked for the message's content; None if it did not.
    """

    begun: float
    ended: float
    connected: float | None = None
    content: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The server accepted responsibility for the message.

    Attributes:
        times: When the attempt came how far, if the channel measures it; no part of what happened.
    """

    server: str
    reply_code: int | None = None
    times: SendTimes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Definitely not sent.

    Attributes:
        reason: Stable word: address_refused, message_refused, temporary, unreachable, login_refused,
            tls_failed, protocol_error, bad_address, target_refused, address_mismatch or recipient_forgotten.
        final: Trying again is useless (a 5xx reply, an impossible address).
        about_address: The refusal is of the recipient's address itself.
        about_connection: The server refused, ended or never opened the connection before it heard of the message, so
            no attempt at sending it is spent.
        reply: What the server said, for staff; may hold personal data, so it is kept in the vault only.
        needs_review: Only a person may decide what becomes of the use: a case `address_mismatch` is opened.
        times: As those of `Accepted`.
    """

    server: str
    reason: str
    final: bool
    about_address: bool = False
    about_connection: bool = False
    reply_code: int | None = None
    reply: str = ""
    needs_review: bool = False
    times: SendTimes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLater:
    """Not sent and not rejected: the channel asks to retry later, for example because a team is full.

    Attributes:
        wait: From when the outcome is recorded. A time would be wrong if the clock was.
    """

    server: str
    reason: str
    wait: timedelta
    times: SendTimes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown:
    """The message was handed over but no answer came: it may or may not arrive.

    Attributes:
        cause: Stable word: connection_lost, timeout or bad_reply, each after the message's last byte may have left;
            said_unknown, if the external system itself does not know; or earlier_attempt, if the last attempt failed
            and an earlier one may have succeeded.
        retry_after_s: Seconds in which the server may still answer; a retry before would be a second email.
        times: As those of `Accepted`.
    """

    server: str
    cause: str
    retry_after_s: float = 0.0
    times: SendTimes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiedOnly:
    """The channel cannot remove access. It notified the recipient if there was an address and a notice."""

    server: str


FinalOutcome = Accepted | Rejected | OutcomeUnknown
Outcome = FinalOutcome | RetryLater
RemovalOutcome = Accepted | NotifiedOnly | Rejected | RetryLater | OutcomeUnknown


class UnverifiedAddress(Enum):
    """Stands for an email address that the vault can't verify: nothing is sent to it."""

    UNVERIFIED = ADDRESS_MISMATCH


UNVERIFIED: Final = UnverifiedAddress.UNVERIFIED


class RecipientDraft(Protocol):
    """A recipient for the vault: digests of the normal address, its domain, and an id to use if they are new."""

    @property
    def digests(self) -> Sequence[bytes]:
        """One digest per pepper, the current pepper's first."""

    @property
    def new_id(self) -> UUID:
        """Random id to use if no digest is known yet."""

    @property
    def domain(self) -> str:
        """The address's domain as its A-label. Terms are decided by it; no event and no table holds it."""

    @property
    def mailbox(self) -> str:
        """The mailbox behind the address. It is shown masked; no event and no table holds it."""

    @property
    def mailbox_digests(self) -> Sequence[bytes]:
        """One digest of the mailbox per pepper, the current pepper's first."""


class CodeDraft(Protocol):
    """The text of a new code on its way into the vault."""

    @property
    def digests(self) -> Sequence[bytes]:
        """One digest per pepper, the current pepper's first."""


class TextDraft(Protocol):
    """Free text (a note, a server's reply) on its way into the vault; events carry only its id."""

    @property
    def text_id(self) -> UUID:
        """Random id under which the text is kept."""


class OptOuts(Protocol):
    """Who wants no more emails that are sent without a request of theirs, and to whom none is sent at all.

    Everything that sends such emails, reminders for example, asks here immediately before it sends.
    """

    def find_opted_out(self, recipient_ids: Collection[UUID], group: str | None) -> frozenset[UUID]:
        """Return those of these recipients to whom no such email of the group may be sent."""

    def has_opted_out(self, recipient_id: UUID, group: str | None, since: datetime | None = None) -> bool:
        """Return whether a recipient wants no more such emails of the group. `since`: only if they said so later."""

    def is_suppressed(self, recipient_id: UUID, group: str | None) -> bool:
        """Return whether no email of the group is sent to a recipient, not even one that follows from a request."""


class Channel(Protocol):
    """Sends messages and removes access. One instance is used by one thread at a time."""

    @property
    def name(self) -> str:
        """Stable name for events and metrics, such as `smtp`."""

    def send(self, message: OutboundMessage) -> Outcome:
        """Send one message and return the outcome; raises nothing for what a server or network does."""

    def revoke(self, removal: Removal) -> RemovalOutcome:
        """Remove an access and return the outcome; raises nothing for what a server or network does.

        It may be called again for the same reservation: removing what is already removed is success (`Accepted`). A
        channel that cannot remove access returns `NotifiedOnly`. Every other outcome is retried a bounded number of
        times, unless it is a final `Rejected`.
        """

    def close(self) -> None:
        """End connections that are still open; safe to call twice."""


def outcome_label(outcome: Outcome) -> str:
    """Return the metric's label for an outcome."""
    match outcome:
        case Accepted():
            return "sent"
        case Rejected():
            return "failed"
        case RetryLater():
            return "deferred"
        case OutcomeUnknown():
            return "unknown"
