"""What limits of a campaign would mean, for each choice of the uses that they count, before they are set."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, get_args
from uuid import UUID

from api.errors import ApplicationError
from api.i18n.messages import refusal_detail
from api.schemas.campaigns import LimitChoiceView, UseOver
from api.use_cases.services import Caller, LedgerServices
from domain.commands.campaign.manage_campaign import ChangeCampaignTerms
from domain.errors import NoSuchCampaign, Refusal
from domain.events.campaign import Counting
from domain.model.campaign import Campaign
from domain.model.counted_uses import ExistingUse, find_uses_over
from domain.ports import Language
from domain.values.timestamps import utc_day
from projections.read_models.campaign_list import CampaignReader

USES_OVER_MAX: Final = 100
"""Most uses over a limit that a preview names, the newest."""
CHOICES: Final[tuple[Counting, ...]] = get_args(Counting)


class LimitChoice(NamedTuple):
    """What limits would mean if they counted all uses, or those from now on.

    Attributes:
        counting: The choice.
        campaign: The campaign as it would be; None if the change is refused.
        over: Uses that would be over the limits, the oldest first. They stay, and new ones are refused.
        refusal: Why the change is refused.
    """

    counting: Counting
    campaign: Campaign | None
    over: list[ExistingUse]
    refusal: Refusal | None


def preview_limits(
    services: LedgerServices, caller: Caller, campaign_id: UUID, changes: Mapping[str, Any]
) -> list[LimitChoice]:
    """Return what changed terms would mean for each choice. Nothing is changed, and nothing waits for it.

    Raises:
        ApplicationError: CAMPAIGN_NOT_FOUND.
        StorageUnavailableError: The database is unavailable.
    """
    return [_preview(services, caller, campaign_id, changes, counting) for counting in CHOICES]


def view_of_limit_choice(choice: LimitChoice, now: datetime, language: Language) -> LimitChoiceView:
    """Return a choice as the API shows it."""
    campaign, refusal = choice.campaign, choice.refusal
    return LimitChoiceView(
        counting=choice.counting,
        refused=None if refusal is None else refusal_detail(refusal.code, language, **refusal.facts),
        counted=campaign and campaign.occupied,
        available=campaign and campaign.available,
        available_today=campaign and campaign.find_available_on_day(now),
        over=len(choice.over),
        uses_over=[
            UseOver(code_id=use.code_id, reservation_id=use.reservation_id, reserved_at=use.reserved_at)
            for use in choice.over[-USES_OVER_MAX:]
        ],
    )


def _preview(
    services: LedgerServices, caller: Caller, campaign_id: UUID, changes: Mapping[str, Any], counting: Counting
) -> LimitChoice:
    context = services.context(caller)
    command = ChangeCampaignTerms(context=context, campaign_id=campaign_id, changes=changes, counting=counting)
    result = services.storage.ledger.preview_campaign(command)
    if isinstance(result, NoSuchCampaign):
        raise ApplicationError.from_refusal(result)
    if isinstance(result, Refusal):
        return LimitChoice(counting, None, [], result)
    campaign, reader = result.campaign, CampaignReader(services.storage)
    uses = reader.list_counted_uses(campaign)
    mailboxes = reader.find_mailboxes({use.recipient_id for use in uses}) if campaign.counts_by_mailbox else {}
    day = utc_day(max(context.now, campaign.last_at))
    return LimitChoice(counting, campaign, list(find_uses_over(uses, campaign.terms, day, mailboxes)), None)
