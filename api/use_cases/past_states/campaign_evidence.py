"""The events of a campaign that a refusal by it rests on."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.errors import (
    CampaignDayLimitReached,
    CampaignExhausted,
    CampaignHasEnded,
    CampaignHeld,
    CampaignIsPaused,
    CampaignNotStarted,
    PersonLimitReached,
    Refusal,
)
from domain.events import Event
from domain.events.campaign import (
    CampaignEnded,
    CampaignPaused,
    CampaignTermsEvent,
    CampaignUseReturned,
    CampaignUseTaken,
)
from domain.values.timestamps import utc_day
from projections.read_models.campaign_list import CampaignReader

CAMPAIGN_REFUSALS: Final = (
    CampaignDayLimitReached,
    CampaignExhausted,
    CampaignHasEnded,
    CampaignHeld,
    CampaignIsPaused,
    CampaignNotStarted,
    PersonLimitReached,
)
"""Refusals of the campaign, which the event by which the code joined it names, too."""
USES_SHOWN_MAX: Final = 19
"""Most events of uses that an answer names, the newest."""


class CampaignEvidence(NamedTuple):
    """Events by version, oldest first, and how many more there are."""

    events: dict[int, Event]
    left_out: int


NO_EVIDENCE: Final = CampaignEvidence({}, 0)


def find_campaign_evidence(
    reader: CampaignReader, campaign_id: UUID, at: datetime, refusal: Refusal, recipient_id: UUID | None
) -> CampaignEvidence:
    """Return the events of a campaign that a refusal by it at a time rests on.

    They are the pause, the end, or the terms; if a limit refused, also the uses that occupied it.

    Args:
        reader: Where the campaign's events are read.
        campaign_id: The campaign.
        at: The time of the refusal.
        refusal: One of `CAMPAIGN_REFUSALS`.
        recipient_id: The recipient who was refused; None if the ledger had no such recipient.
    """
    about_campaign, uses = dict[type[Event], tuple[int, Event]](), dict[UUID, tuple[int, Event]]()
    is_day_limit = isinstance(refusal, CampaignDayLimitReached)
    is_person_limit = isinstance(refusal, PersonLimitReached)
    for _, version, event, campaign in reader.read_campaign_history(campaign_id, at):
        match event:
            case CampaignTermsEvent():
                about_campaign[CampaignTermsEvent] = version, event
            case CampaignPaused() | CampaignEnded():
                about_campaign[type(event)] = version, event
            case CampaignUseTaken() if is_person_limit and event.recipient_id != recipient_id:
                pass
            case CampaignUseTaken() if not is_day_limit or utc_day(event.at) == utc_day(at):
                uses[event.reservation_id] = version, event
            case CampaignUseReturned() if not is_day_limit or campaign.frees_place_of_day(event.reserved_at, event.at):
                uses.pop(event.reservation_id, None)
            case _:
                pass
    decisive: type[Event] = CampaignTermsEvent
    if isinstance(refusal, CampaignIsPaused):
        decisive = CampaignPaused
    elif isinstance(refusal, CampaignHasEnded) and CampaignEnded in about_campaign:
        decisive = CampaignEnded
    versions = dict([about_campaign[decisive]])
    if isinstance(refusal, CampaignIsPaused | CampaignHasEnded | CampaignNotStarted):
        return CampaignEvidence(versions, 0)
    newest = sorted(uses.values(), key=lambda use: use[0])[-USES_SHOWN_MAX:]
    return CampaignEvidence(dict(sorted([*versions.items(), *newest])), len(uses) - len(newest))
