"""How much each type of event says to a reader of a history: one declaration, which every type must be in."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Literal, get_args

from domain.events import EVENT_TYPES
from domain.events.access import (
    AccessCorrected,
    AccessExpired,
    AccessRemovalFailed,
    AccessRemoved,
    AccessReplaced,
    AccessRevoked,
    ExpiryAnnounced,
    InviteReminded,
)
from domain.events.campaign import (
    CampaignCreated,
    CampaignEnded,
    CampaignPaused,
    CampaignResumed,
    CampaignTermsChanged,
    CampaignUseReturned,
    CampaignUseTaken,
)
from domain.events.code import (
    CodeIssued,
    CodeJoinedCampaign,
    CodeNoted,
    CodePaused,
    CodeResumed,
    CodeRevoked,
    CodeTermsChanged,
    OpeningBalanceImported,
)
from domain.events.event import Event
from domain.events.hand_out import (
    CodeHandedOut,
    HandOutBounced,
    HandOutChanged,
    HandOutCreated,
    HandOutEnded,
    HandOutFailed,
    HandOutPaused,
    HandOutReminded,
    HandOutResendRequested,
    HandOutResumed,
    HandOutSent,
    HandOutSkipped,
    HandOutUnknown,
)
from domain.events.reservation import (
    CaseClosed,
    CaseOpened,
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
    RebindReserved,
    ResendRequested,
    UseRefunded,
    UseReserved,
)

Importance = Literal["outcome", "step", "noise"]
"""`outcome`: what a customer or staff did or got. `step`: why it took longer. `noise`: that the system works."""
LEVELS: Final[tuple[Importance, ...]] = get_args(Importance)

IMPORTANCE: Final[Mapping[type[Event], Importance]] = {
    CodeIssued: "outcome",
    CodeJoinedCampaign: "outcome",
    OpeningBalanceImported: "outcome",
    CodeTermsChanged: "outcome",
    CodePaused: "outcome",
    CodeResumed: "outcome",
    CodeRevoked: "outcome",
    CodeNoted: "outcome",
    UseReserved: "outcome",
    RebindReserved: "outcome",
    InviteSent: "outcome",
    LateSuccessRecorded: "outcome",
    InviteBounced: "outcome",
    InviteAccepted: "outcome",
    UseRefunded: "outcome",
    CaseOpened: "outcome",
    CaseClosed: "outcome",
    ResendRequested: "outcome",
    AccessRevoked: "outcome",
    AccessExpired: "outcome",
    AccessReplaced: "outcome",
    AccessCorrected: "outcome",
    NoteAdded: "outcome",
    CampaignCreated: "outcome",
    CampaignTermsChanged: "outcome",
    CampaignPaused: "outcome",
    CampaignResumed: "outcome",
    CampaignEnded: "outcome",
    HandOutCreated: "outcome",
    HandOutChanged: "outcome",
    HandOutPaused: "outcome",
    HandOutResumed: "outcome",
    HandOutEnded: "outcome",
    CodeHandedOut: "outcome",
    HandOutSent: "outcome",
    HandOutFailed: "outcome",
    HandOutUnknown: "outcome",
    HandOutSkipped: "outcome",
    HandOutBounced: "outcome",
    HandOutResendRequested: "outcome",
    HandOutReminded: "noise",
    InviteFailed: "step",
    InviteDeferred: "step",
    InviteOutcomeUnknown: "step",
    AccessRemoved: "step",
    AccessRemovalFailed: "step",
    InviteAttempted: "noise",
    InviteReleased: "noise",
    ExpiryAnnounced: "noise",
    InviteReminded: "noise",
    CampaignUseTaken: "noise",
    CampaignUseReturned: "noise",
}


def check_complete(declared: AbstractSet[type[Event]], event_types: AbstractSet[type[Event]]) -> None:
    """Check that every type of event has an importance.

    Raises:
        LookupError: A type is missing, or is declared and does not exist.
    """
    if wrong := sorted(kind.__name__ for kind in declared ^ event_types):
        raise LookupError(f"IMPORTANCE does not match EVENT_TYPES: {', '.join(wrong)}")


check_complete(IMPORTANCE.keys(), set(EVENT_TYPES))


def types_up_to(level: Importance) -> list[type[Event]]:
    """Return the types that are shown at a level: its own, and those of more importance."""
    shown = LEVELS[: LEVELS.index(level) + 1]
    return [kind for kind, importance in IMPORTANCE.items() if importance in shown]
