"""Every fact that the ledger stores, as a frozen record with a pinned topic.

msgspec structs rather than dataclasses: they are built and decoded some ten times faster, and a redeem
builds one per request. Until release 1.0 the log is "format 0": a shape may still change; from 1.0 on the
approved snapshots in tests/schema bind, and a change means a new version of the topic and an upcaster.

No fact holds a code text, an email address or free text: only the random ids under which the vault keeps
them. No fact holds a number that can be computed from other facts. The stream's id and the event's version
are separate columns, so they are not repeated in the state.
"""

from domain.events.access import (
    AccessCorrected,
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    ExpiryAnnounced,
)
from domain.events.code import (
    CodeIssued,
    CodeNoted,
    CodePaused,
    CodeResumed,
    CodeRevoked,
    CodeTermsChanged,
    OpeningBalanceImported,
)
from domain.events.event import (
    STAFF,
    AccessEnding,
    ActorKind,
    Event,
    HeldAs,
    Kind,
    LateEffect,
    RefundCause,
    RemovalEffect,
)
from domain.events.reservation import (
    CaseClosed,
    CaseOpened,
    DeliveryEvent,
    InviteAccepted,
    InviteAttempted,
    InviteBounced,
    InviteDeferred,
    InviteFailed,
    InviteOutcomeUnknown,
    InviteReleased,
    InviteSent,
    LateSuccessRecorded,
    NoteAdded,
    OutcomeEvent,
    RebindReserved,
    ResendRequested,
    ReservationEvent,
    ReservationStarted,
    UseRefunded,
    UseReserved,
)

__all__ = [
    "EVENT_TYPES",
    "STAFF",
    "AccessCorrected",
    "AccessEnding",
    "AccessExpired",
    "AccessRemovalFailed",
    "AccessRemoved",
    "AccessReplaced",
    "AccessRevoked",
    "ActorKind",
    "CaseClosed",
    "CaseOpened",
    "CodeIssued",
    "CodeNoted",
    "CodePaused",
    "CodeResumed",
    "CodeRevoked",
    "CodeTermsChanged",
    "DeliveryEvent",
    "Event",
    "ExpiryAnnounced",
    "HeldAs",
    "InviteAccepted",
    "InviteAttempted",
    "InviteBounced",
    "InviteDeferred",
    "InviteFailed",
    "InviteOutcomeUnknown",
    "InviteReleased",
    "InviteSent",
    "Kind",
    "LateEffect",
    "LateSuccessRecorded",
    "NoteAdded",
    "OpeningBalanceImported",
    "OutcomeEvent",
    "RebindReserved",
    "RefundCause",
    "RemovalEffect",
    "ResendRequested",
    "ReservationEvent",
    "ReservationStarted",
    "UseRefunded",
    "UseReserved",
    "topic_of",
]

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
    RebindReserved,
    ExpiryAnnounced,
    AccessExpired,
    AccessReplaced,
    AccessRemoved,
    AccessRemovalFailed,
    AccessCorrected,
    InviteReleased,
)


def topic_of(event_type: type[Event]) -> str:
    """Return the name under which a type is stored permanently, such as `UseReserved:1`; never a module path."""
    return f"{event_type.__name__}:{event_type.TOPIC_VERSION}"
