"""Offers of uses that can be taken again: their hours begin again, and another email says so."""

from domain.events.campaign import CampaignEvent, CampaignTermsChanged
from domain.events.waiting_list import WaitingOfferMade
from domain.model.campaign import Campaign
from domain.model.crossings import fields_of_follower


def renew_offers(before: Campaign | None, event: CampaignEvent, after: Campaign) -> list[WaitingOfferMade]:
    """Return the offers to make again after an event of a campaign, because it lets them be taken again.

    It is the end of a pause, other terms, a returned use, or the end of a place before theirs. If it begins to count
    all uses, these follow it, and `renew_offers_after_count` says which offers to make again.
    """
    begins_to_count = isinstance(event, CampaignTermsChanged) and event.counting == "all"
    is_needed = before is not None and before.waiting and not (begins_to_count or isinstance(event, WaitingOfferMade))
    return renew_offers_after_count(before, event, after) if before is not None and is_needed else []


def renew_offers_after_count(before: Campaign, event: CampaignEvent, after: Campaign) -> list[WaitingOfferMade]:
    """Return the offers to make again after an event and the uses that it counts.

    Offers that could be taken before it continue.
    """
    now = event.waits_from
    if after.has_ended(now):
        return []
    offered = {place.place_id for place in before.waiting if place.offered_until is not None}
    on_hold = offered - {place.place_id for place in before.find_takable_offers(now)}
    shared, until = fields_of_follower(event, before.version + 1), after.find_offer_end(now)
    return [
        WaitingOfferMade(**shared, place_id=place.place_id, recipient_id=place.recipient_id, until=until)
        for place in after.find_takable_offers(now)
        if place.place_id in on_hold
    ]
