"""What every event carries, and the literals that events are made of."""

from datetime import datetime
from typing import ClassVar, Final, Literal
from uuid import UUID

from msgspec import Struct

from domain.values.timestamps import is_impossible

Kind = Literal["redeem", "rebind"]
HeldAs = Literal["reserved", "used"]
LateEffect = Literal["duplicate", "retaken", "not_retaken", "ended"]
ReportedMail = Literal["invite", "notice"]
"""Which email about a reservation a report is about: the invitation, or a further one."""
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
    "forgotten",
    "grant_ended",
    "bounced",
    "legacy",
]
REPEATABLE_CAUSES: Final = frozenset[RefundCause](
    {"deadline", "failed", "address_refused", "bounced", "staff", "reset", "outage", "resolved", "legacy"}
)
"""Causes of a refund after which the person may redeem the code again, if the rules of a redeem allow it."""
AccessEnding = Literal["expired", "moved", "withdrawn", "corrected"]
"""How an access ended: it expired, a rebind replaced it, staff revoked it, or its email address was corrected."""
RemovalEffect = Literal["removed", "told"]
"""Result of removing an ended access: the channel removed it, or could only notify the recipient (`told`)."""
Importance = Literal["outcome", "step", "noise"]
"""`outcome`: what a customer or staff did or got. `step`: why it took longer. `noise`: that the system works."""
Meaning = Literal["use", "refund", "problem", "staff", "neutral"]
"""`use`: a use is reserved or counted. `refund`: one is refunded. `problem`: something did not work, or is unclear.
`staff`: staff decided or wrote it. `neutral`: a step that changes no balance."""
ActorKind = Literal["person", "staff", "key", "worker", "sweep", "operator", "import", "channel"]
STAFF: frozenset[ActorKind] = frozenset({"staff", "key", "operator"})
"""Kinds of actors with staff rights."""


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A fact: what every event carries. `domain.events.registry` refuses a type that does not say what types say.

    Attributes:
        TOPIC_VERSION: Version of its stored shape.
        IMPORTANCE: How much it says to a reader of a history.
        LANDMARK: Whether a reader of a long history looks for it.
        CHANGES_STATE: Whether it changes the state of its code or campaign, other than version and time.
        MEANING: What it is to a reader of a history at first sight.
        at: When it takes effect (aware UTC): the later of now and the `at` of the previous event of the stream.
        recorded_at: When it was stored, if that differs from `at`.
        occurred_at: When it happened outside the ledger, if that became known late.
        actor: Kind of the actor.
        actor_id: The actor: a staff id, the id of an API key or of a channel, the name of a worker.
        approved_by: The staff id of the second person, who approved what the actor proposed.
        request_id: The request or task in which it was decided.
        caused_by: Version of the event of this stream that it follows from.
        correlation_id: Common id of events in several streams that belong together, such as the refunds after
            an outage.
    """

    TOPIC_VERSION: ClassVar[int] = 1
    IMPORTANCE: ClassVar[Importance]
    LANDMARK: ClassVar[bool]
    CHANGES_STATE: ClassVar[bool]
    MEANING: ClassVar[Meaning]

    at: datetime
    actor: ActorKind
    actor_id: str | None = None
    approved_by: str | None = None
    request_id: str | None = None
    caused_by: int | None = None
    correlation_id: UUID | None = None
    recorded_at: datetime | None = None
    occurred_at: datetime | None = None

    @property
    def stored_at(self) -> datetime:
        """When it was stored, by the clock of that time."""
        return self.recorded_at or self.at

    @property
    def named_reservation(self) -> UUID | None:
        """The reservation that it is about, or whose use caused it; None if it names none."""
        reservation_id: UUID | None = getattr(self, "reservation_id", None) or getattr(self, "crossed_by", None)
        return reservation_id

    @property
    def waits_from(self) -> datetime:
        """Begin of the waits that it causes: `at`, or the time of storing if the stream is ahead of the clock."""
        recorded_at = self.recorded_at
        return recorded_at if recorded_at is not None and is_impossible(self.at, recorded_at) else self.at
