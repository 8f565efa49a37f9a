"""What the pages of a code and of a reservation show of the campaign: state, uses left, hand-out and recipient."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.web.masking import mask_if_known
from api.web.staff_auth.context import SupportContext
from domain.commands.campaign.campaign_limits import count_only_for_waiting
from domain.model.redeem_code import RedeemCode
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.read_models.campaign_list import CampaignReader


def describe_campaign_of(support: SupportContext, code: RedeemCode | None, now: datetime) -> dict[str, Any] | None:
    """Return the campaign of a code as it is now, for the template `campaign_of_code.html`; None without one.

    The state is that of the campaign itself: the first reason why its codes refuse everyone, or active. An active one
    may have uses `only_for_waiting`: it refuses everyone who is not on its waiting list.
    """
    storage = support.services.storage
    campaign = CampaignReader(storage).find_campaign_state(code.campaign_id) if code and code.campaign_id else None
    if code is None or campaign is None:
        return None
    campaign = campaign.without_expired_offers(now)
    return {
        "campaign": campaign,
        "for_waiting": campaign.for_waiting,
        "campaign_state": campaign.state(now),
        "only_for_waiting": count_only_for_waiting(campaign, code, now),
        "left_today": campaign.find_available_on_day(now),
        "handed_out": _describe_hand_out(support, code.code_id),
    }


def count_waiting(support: SupportContext, code: RedeemCode) -> int:
    """Return how many people wait for a use of the campaign of a code, to whom uses that come back are offered."""
    storage, campaign_id = support.services.storage, code.campaign_id
    campaign = None if campaign_id is None else CampaignReader(storage).find_campaign_state(campaign_id)
    return 0 if campaign is None else len(campaign.waiting)


def _describe_hand_out(support: SupportContext, code_id: UUID) -> tuple[UUID, str, UUID, str | None] | None:
    """Return the hand-out that issued a code, its name, its recipient, and their masked address."""
    reader = HandOutReader(support.services.storage)
    place = reader.find_place_of_code(code_id)
    details = None if place is None else reader.find_hand_out(place[0])
    if place is None or details is None:
        return None
    return place[0], details.created.name, place[1], mask_if_known(support.reader.find_email_address(place[1]))
