"""The events of a campaign that a refusal by it rests on."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.errors import (
    CampaignDayLimitReached,
    CampaignExhausted,
    CampaignHasEnded,
    CampaignHeld,
    CampaignIsPaused,
    PersonLimitReached,
    Refusal,
    ReservationNotResolvable,
)
from domain.events.campaign import (
    CampaignCreated,
    CampaignEnded,
    CampaignPaused,
    CampaignTermsChanged,
)
from domain.events.event import Event
from domain.model.campaign import Campaign
from domain.values.timestamps import utc_day
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.past_states import PastStateReader

USES_SHOWN_MAX: Final = 19
"""Most events of uses that an answer names, the newest."""


class CampaignEvidence(NamedTuple):
    """The campaign that refused, its events by version, oldest first, and how many more there are."""

    campaign: Campaign | None
    events: dict[int, Event]
    left_out: int


NO_EVIDENCE: Final = CampaignEvidence(None, {}, 0)


class _LimitedUses(NamedTuple):
    """The uses that occupy a limit: how many, of which person and of which day, if only those count.

    `ahead`: ids of the places for which the uses are that are left.
    """

    number: int
    person: Sequence[UUID] = ()
    day: date | None = None
    ahead: Collection[UUID] = ()


def find_campaign_evidence(
    states: PastStateReader,
    reader: CampaignReader,
    campaign: Campaign,
    at: datetime,
    refusal: Refusal,
    recipient: tuple[Sequence[UUID], int],
) -> CampaignEvidence:
    """Return the events of a campaign that a refusal by it at a time rests on.

    They are the pause, the end, or else the terms; if a limit refused, also the uses that occupied it; and if uses are
    left for others who wait, how they joined.

    Args:
        states: Where events are found.
        reader: Where uses are found.
        campaign: The campaign as it was.
        at: The time of the refusal.
        refusal: The refusal, which names the campaign.
        recipient: Who was refused, as all recipients whom the campaign counts as that person, and how many uses they
            had.
    """
    kinds: set[type[Event]] = {CampaignCreated, CampaignTermsChanged}
    if isinstance(refusal, CampaignIsPaused):
        kinds = {CampaignPaused}
    elif isinstance(refusal, CampaignHasEnded) and campaign.ended_by is not None:
        kinds = {CampaignEnded}
    landmarks = states.campaign_histories.list_landmarks(campaign.campaign_id, campaign.version)
    deciding = max(mark.last for mark in landmarks if mark.event_type in kinds)
    (entry,) = states.campaign_histories.read_entries(campaign.campaign_id, [deciding])
    limited = _find_limited_uses(campaign, at, refusal, recipient)
    if limited is None:
        return CampaignEvidence(campaign, {deciding: entry.event}, 0)
    uses = reader.list_newest_uses(campaign, USES_SHOWN_MAX, recipient_ids=limited.person, day=limited.day)
    joins = reader.list_newest_joins(campaign, limited.ahead, USES_SHOWN_MAX)
    events = dict(sorted([(deciding, entry.event), *uses, *joins], key=lambda numbered: numbered[0]))
    return CampaignEvidence(campaign, events, limited.number + len(limited.ahead) - len(uses) - len(joins))


def _find_limited_uses(
    campaign: Campaign, at: datetime, refusal: Refusal, recipient: tuple[Sequence[UUID], int]
) -> _LimitedUses | None:
    """Return the uses that occupied the limit which refused; None if no limit did.

    A use that is not counted again was refused by the first limit that has no use left.
    """
    is_any_limit = isinstance(refusal, ReservationNotResolvable)
    is_total = isinstance(refusal, CampaignHeld | CampaignExhausted)
    if is_total or (is_any_limit and _is_full(campaign.available)):
        return _LimitedUses(campaign.occupied, ahead=_find_places_ahead(campaign, at, recipient[0]))
    counted_at = max(at, campaign.last_at)
    is_of_day = isinstance(refusal, CampaignDayLimitReached)
    if is_of_day or (is_any_limit and _is_full(campaign.find_available_on_day(at))):
        return _LimitedUses(campaign.count_on_day(counted_at), day=utc_day(counted_at))
    if isinstance(refusal, PersonLimitReached) or is_any_limit:
        person, number = recipient
        return _LimitedUses(number, person)
    return None


def _find_places_ahead(campaign: Campaign, at: datetime, person: Sequence[UUID]) -> set[UUID]:
    """Return the places that are ahead of a person if uses are left for them; none if no use is left."""
    if _is_full(campaign.available):
        return set()
    campaign = campaign.without_expired_offers(at)
    ahead = min(campaign.count_ahead(recipient_id) for recipient_id in person)
    return {place.place_id for place in campaign.waiting[:ahead]}


def _is_full(left: int | None) -> bool:
    return left is not None and left < 1
