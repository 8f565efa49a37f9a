"""Every fact that the ledger stores, as a frozen record with a pinned topic.

msgspec structs rather than dataclasses: they are built and decoded some ten times faster, and a redeem
builds one per request. Until release 1.0 the log is "format 0": a shape may still change; from 1.0 on the
approved snapshots in tests/schema bind, and a change means a new version of the topic and an upcaster.

No fact holds a code text, an e-mail address or free text: only the random ids under which the vault keeps
them. No fact holds a number that can be computed from other facts. The stream's id and the event's version
are columns beside the state, so they are not repeated in it.
"""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from msgspec import Struct

from domain.ports import Language

Kind = Literal["redeem", "rebind"]
Held = Literal["reserved", "used"]
LateEffect = Literal["duplicate", "retaken", "not_retaken"]
RefundCause = Literal[
    "deadline",
    "failed",
    "address_refused",
    "staff",
    "cancelled",
    "reset",
    "corrected",
    "revoked",
    "outage",
    "resolved",
]
ActorKind = Literal["person", "staff", "key", "worker", "sweep", "operator", "import"]
STAFF: frozenset[ActorKind] = frozenset({"staff", "key", "operator"})
"""Who acts with rights."""


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What every fact carries.

    Attributes:
        at: When it takes effect (aware UTC): the later of now and the stream's last `at`.
        recorded_at: When it was written down, where that differs from `at`.
        occurred_at: When it happened outside, where we learned of it late.
        actor: Kind of who did it.
        actor_id: Which one: a staff id, the id of an API key, a worker's name.
        request_id: The request or task in which it was decided.
        caused_by: Version of the event of this stream that it follows from.
        correlation_id: Set where one act touches several streams, such as the refunds after an outage.
    """

    TOPIC_VERSION: ClassVar[int] = 1

    at: datetime
    actor: ActorKind
    actor_id: str | None = None
    request_id: str | None = None
    caused_by: int | None = None
    correlation_id: UUID | None = None
    recorded_at: datetime | None = None
    occurred_at: datetime | None = None


class CodeIssued(Event, frozen=True, kw_only=True):
    """A code exists from now on. `max_uses` None means without limit; `bound` is false for `--open` codes.

    `text_id` names a note in the vault. Codes of one batch have its id as their correlation id.
    """

    max_uses: int | None
    bound: bool = True
    expires_at: datetime | None = None
    validity_days: int | None = None
    group: str | None = None
    text_id: UUID | None = None


class OpeningBalanceImported(Event, frozen=True, kw_only=True):
    """Uses that were counted before the ledger was, and that no invitation in it stands for.

    Attributes:
        uses: How many, at least 1.
        source: Where the number is from: the old system's name, or `csv`.
        reason: Why it is taken over: such as in_doubt, bad_email, unproven, stated.
    """

    uses: int
    source: str
    reason: str


class CodeTermsChanged(Event, frozen=True, kw_only=True):
    """From now on these are the terms, the unchanged ones among them. `text_id`: the reason, in the vault."""

    max_uses: int | None
    expires_at: datetime | None = None
    validity_days: int | None = None
    group: str | None = None
    text_id: UUID | None = None


class CodePaused(Event, frozen=True, kw_only=True):
    """No new reservations until it is resumed; those that stand go on. `text_id`: the reason, in the vault."""

    text_id: UUID | None = None


class CodeResumed(Event, frozen=True, kw_only=True):
    """New reservations again. `text_id`: the reason, in the vault."""

    text_id: UUID | None = None


class CodeRevoked(Event, frozen=True, kw_only=True):
    """No new reservations for ever, and what is held but not sent is given back. `text_id`: the reason."""

    text_id: UUID | None = None


class CodeNoted(Event, frozen=True, kw_only=True):
    """Staff wrote something down about the code. It changes nothing. `text_id`: the note, in the vault."""

    text_id: UUID


class ReservationEvent(Event, frozen=True, kw_only=True):
    """A fact about one reservation."""

    reservation_id: UUID


class UseReserved(ReservationEvent, frozen=True, kw_only=True):
    """One use is held for one recipient until the deadline.

    `follows` names the sent reservation after which this further use was asked for (`again`); `corrects`
    the reservation whose mistyped address this one replaces. `language` is that of the letters.
    """

    recipient_id: UUID
    deadline: datetime
    language: Language
    group: str | None = None
    follows: UUID | None = None
    corrects: UUID | None = None


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
    """Surely not sent. `retry_at` None means final. `text_id` names the server's words in the vault."""

    server: str
    reason: str
    retry_at: datetime | None = None
    reply_code: int | None = None
    text_id: UUID | None = None


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

    `effect`: `retaken` counts the use again; a `duplicate` takes nothing; `not_retaken` comes with a case.
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


class AccessRevoked(ReservationEvent, frozen=True, kw_only=True):
    """The access that the sent invitation gave was taken away by staff. `text_id`: the reason, in the vault."""

    text_id: UUID | None = None


class NoteAdded(ReservationEvent, frozen=True, kw_only=True):
    """Staff wrote something down about a reservation. It changes nothing. `text_id`: the note, in the vault."""

    text_id: UUID


EVENT_TYPES: tuple[type[Event], ...] = (
    CodeIssued,
    OpeningBalanceImported,
    CodeTermsChanged,
    CodePaused,
    CodeResumed,
    CodeRevoked,
    CodeNoted,
    UseReserved,
    InviteAttempted,
    InviteSent,
    InviteFailed,
    InviteDeferred,
    InviteOutcomeUnknown,
    LateSuccessRecorded,
    InviteBounced,
    InviteAccepted,
    UseRefunded,
    CaseOpened,
    CaseClosed,
    ResendRequested,
    AccessRevoked,
    NoteAdded,
)


def topic_of(event_type: type[Event]) -> str:
    """The name under which a type is stored for ever, such as `UseReserved:1`; never a module path."""
    return f"{event_type.__name__}:{event_type.TOPIC_VERSION}"
