"""An example of every event, with a value other than the default in every field."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec.structs import fields

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
    CampaignTerms,
    CampaignTermsChanged,
    CampaignThresholdReached,
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
    CodeThresholdReached,
    OpeningBalanceImported,
)
from domain.events.code_terms import CodeTerms
from domain.events.event import Event
from domain.events.hand_out import (
    CodeHandedOut,
    HandOutBounced,
    HandOutChanged,
    HandOutComplained,
    HandOutCreated,
    HandOutDelayed,
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
    InviteComplained,
    InviteDeferred,
    InviteDelayed,
    InviteFailed,
    InviteLinkRevealed,
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
from domain.events.waiting_list import (
    WaitingListJoined,
    WaitingListLeft,
    WaitingOfferMade,
    WaitingOfferMailed,
    WaitingPlaceRespelled,
)
from domain.model.reservation import KEPT_TERMS
from domain.values.email_domains import DomainNames, parse_domains
from domain.values.limits.thresholds import Thresholds, parse_thresholds
from domain.values.persons.mailboxes import PersonRule
from domain.values.persons.throwaway_domains import ThrowawayRule

AT = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
R, P, C = (UUID(int=number) for number in (1, 2, 3))
WHO: dict[str, Any] = {
    "at": AT,
    "recorded_at": LATER,
    "occurred_at": AT,
    "actor": "worker",
    "actor_id": "host:1",
    "approved_by": "00000000-0000-0000-0000-000000000008",
    "request_id": "t1",
    "caused_by": 2,
    "correlation_id": UUID(int=9),
}
ATTEMPT: dict[str, Any] = {"reservation_id": R, "delivery": 2, "attempt": 3, "kind": "rebind"}

TERM_EXAMPLES: Final[dict[object, Any]] = {
    int | None: 5,
    datetime | None: LATER,
    str | None: "blue",
    DomainNames | None: parse_domains("example.com *.example.org"),
    Thresholds | None: parse_thresholds("80%, 10 left"),
    PersonRule | None: "mailbox",
    ThrowawayRule | None: "flag",
}
if new := {field.type for field in fields(CodeTerms)} - TERM_EXAMPLES.keys():
    raise TypeError(f"tests/schema/event_examples.py: add a value of {new} to TERM_EXAMPLES")
TERMS: dict[str, Any] = {field.name: TERM_EXAMPLES[field.type] for field in fields(CodeTerms)}
RESERVATION_TERMS: dict[str, Any] = {
    **{name: TERMS[name] for name in KEPT_TERMS},
    "reservation_id": R,
    "recipient_id": P,
    "deadline": LATER,
    "language": "zh",
    "group": "blue",
    "follows": C,
    "corrects": C,
    "waits_for": C,
    "validity_days": 30,
    "activated_at": AT,
    "moves": 1,
    "announced": 3,
}

CAMPAIGN_TERMS: Final[dict[str, Any]] = {
    **{field.name: TERM_EXAMPLES[field.type] for field in fields(CampaignTerms) if field.name != "name"},
    "name": "Autumn",
    "group": "team",
    "starts_at": AT,
    "ends_at": LATER,
    "max_uses": 500,
    "max_per_person": 1,
    "max_per_day": 50,
    "allowed_domains": "example.com",
    "denied_domains": "example.org",
    "remind_days": 5,
    "quiet_hours": "22:00-08:00 Europe/Berlin",
    "waiting_hours": 48,
    "valid_for_days": 7,
    "code_max_uses": 3,
    "code_validity_days": 30,
}

EXAMPLES: Final[list[Event]] = [
    CodeIssued(**WHO, **TERMS, text_id=C, bound_to=P, bound=False, campaign_id=R),
    OpeningBalanceImported(**WHO, uses=3, source="csv", reason="stated"),
    CodeTermsChanged(**WHO, **TERMS, text_id=C, bound_to=P, counting="all"),
    CodeJoinedCampaign(**WHO, campaign_id=C),
    CodeThresholdReached(**WHO, threshold="10 left", crossed_by=R),
    CodePaused(**WHO, text_id=C),
    CodeResumed(**WHO, text_id=C),
    CodeRevoked(**WHO, text_id=C),
    CodeNoted(**WHO, text_id=C),
    UseReserved(**WHO, **RESERVATION_TERMS, remind_days=5, flag="throwaway"),
    RebindReserved(**WHO, **RESERVATION_TERMS, text_id=C),
    InviteAttempted(**WHO, **ATTEMPT, lease_until=LATER, channel="smtp"),
    InviteSent(**WHO, **ATTEMPT, server="mx:25", reply_code=250, ms_ago=(64, 31, 23, 29, 26)),
    InviteFailed(
        **WHO,
        **ATTEMPT,
        server="mx:25",
        reason="temporary",
        retry_at=LATER,
        reply_code=421,
        text_id=C,
        about_connection=True,
        ms_ago=(64, 31, 23, 29),
    ),
    InviteDeferred(**WHO, **ATTEMPT, server="team", reason="full", until=LATER, deadline=LATER, ms_ago=(64, 31, 23)),
    InviteOutcomeUnknown(
        **WHO, **ATTEMPT, cause="connection_lost", server="mx:25", retry_at=LATER, ms_ago=(64, 31, 23, 29, 26)
    ),
    LateSuccessRecorded(
        **WHO, **ATTEMPT, recipient_id=P, server="mx:25", effect="retaken", reply_code=250, ms_ago=(64, 31, 23, 29, 26)
    ),
    InviteBounced(
        **WHO, reservation_id=R, delivery=2, mail="notice", reason="mailbox_unknown", reply_code=550, text_id=C
    ),
    InviteDelayed(**WHO, reservation_id=R, delivery=2, mail="notice", text_id=C),
    InviteComplained(**WHO, reservation_id=R, delivery=2, mail="notice", text_id=C),
    InviteAccepted(**WHO, reservation_id=R, delivery=2, via="link"),
    UseRefunded(**WHO, reservation_id=R, cause="staff", held="used", kind="rebind", text_id=C),
    CaseOpened(**WHO, reservation_id=R, case_id=C, cause="unknown_outcome", delivery=2),
    CaseClosed(**WHO, reservation_id=R, case_id=C, how="tried_again", retry_at=LATER, deadline=LATER, text_id=C),
    ResendRequested(**WHO, reservation_id=R, delivery=2, deadline=LATER, text_id=C),
    ExpiryAnnounced(**WHO, reservation_id=R, days=7),
    InviteReminded(**WHO, reservation_id=R, days=5),
    AccessExpired(**WHO, reservation_id=R, notify=False),
    AccessReplaced(**WHO, reservation_id=R, by=C),
    AccessRevoked(**WHO, reservation_id=R, text_id=C),
    AccessRemoved(**WHO, reservation_id=R, channel="smtp", server="mx:25", cause="expired", effect="told"),
    AccessRemovalFailed(
        **WHO,
        reservation_id=R,
        channel="webhook",
        server="team",
        cause="moved",
        reason="temporary",
        attempt=2,
        retry_at=LATER,
        text_id=C,
    ),
    AccessCorrected(**WHO, reservation_id=R, by=C),
    InviteReleased(**WHO, reservation_id=R, deadline=LATER),
    InviteLinkRevealed(**WHO, reservation_id=R, delivery=2, text_id=C),
    NoteAdded(**WHO, reservation_id=R, text_id=C),
    CampaignCreated(**WHO, **CAMPAIGN_TERMS),
    CampaignTermsChanged(**WHO, **CAMPAIGN_TERMS, counting="from_now", text_id=C),
    CampaignPaused(**WHO, text_id=C),
    CampaignResumed(**WHO, text_id=C),
    CampaignEnded(**WHO, text_id=C),
    WaitingListJoined(**WHO, place_id=R, recipient_id=P, code_id=C, language="zh"),
    WaitingPlaceRespelled(**WHO, place_id=R, recipient_id=P, former_id=C),
    WaitingOfferMade(**WHO, place_id=R, recipient_id=P, until=LATER),
    WaitingOfferMailed(**WHO, place_id=R, recipient_id=P, until=LATER, outcome="unknown"),
    WaitingListLeft(**WHO, place_id=R, recipient_id=P, cause="removed", text_id=C),
    CampaignThresholdReached(**WHO, threshold="80%", code_id=C, crossed_by=R),
    CampaignUseTaken(**WHO, code_id=C, reservation_id=R, recipient_id=P, reserved_at=AT, corrects=C),
    CampaignUseReturned(**WHO, code_id=C, reservation_id=R, recipient_id=P, reserved_at=AT),
    HandOutCreated(
        **WHO,
        **TERMS,
        hand_out_id=R,
        name="Newsletter",
        per_minute=600,
        bound=False,
        existing_codes=True,
        is_draft=True,
        valid_for_days=7,
    ),
    HandOutPaused(**WHO, hand_out_id=R, text_id=C),
    HandOutResumed(**WHO, hand_out_id=R, text_id=C, starts_at=AT),
    HandOutEnded(**WHO, hand_out_id=R, text_id=C),
    HandOutChanged(**WHO, hand_out_id=R, per_minute=60, languages=("en", "zh")),
    CodeHandedOut(**WHO, hand_out_id=R, recipient_id=P, codes=20, line_id=C),
    HandOutSent(**WHO, mail=2, server="mx:25", reply_code=250),
    HandOutFailed(**WHO, mail=2, server="mx:25", reason="address_refused", reply_code=550),
    HandOutUnknown(**WHO, mail=2, server="mx:25", cause="connection_lost"),
    HandOutSkipped(**WHO, mail=2, reason="opted_out"),
    HandOutBounced(**WHO, mail=2, text_id=C, reason="mailbox_unknown", superseded=True),
    HandOutDelayed(**WHO, mail=2, text_id=C),
    HandOutComplained(**WHO, mail=2, text_id=C),
    HandOutResendRequested(**WHO, mail=2),
    HandOutReminded(**WHO, mail=2),
]
