"""What limits of a campaign or a code would mean, for each choice of the uses that they count, before they are set."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, get_args
from uuid import UUID

from api.errors import ApplicationError
from api.i18n.messages import refusal_detail
from api.schemas.campaigns import CodeLimitChoiceView, LimitChoiceView, UseOver
from api.use_cases.code_actions import change_terms
from api.use_cases.services import Caller, LedgerServices
from domain.commands.campaign.manage_campaign import ChangeCampaignTerms
from domain.errors import NoSuchCampaign, NoSuchCode, Refusal
from domain.events.campaign import Counting
from domain.model.campaign import Campaign
from domain.model.counted_uses import ExistingUse, find_uses_over
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from domain.values.timestamps import utc_day
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.reservation_list import list_newest_uses

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
        crossed: Thresholds that the change would cross, in order.
    """

    counting: Counting
    campaign: Campaign | None
    over: list[ExistingUse]
    refusal: Refusal | None
    crossed: Sequence[str] = ()


class CodeLimitChoice(NamedTuple):
    """What a limit of a code would mean if it counted all uses, or those from now on.

    Attributes:
        counting: The choice.
        code: The code as it would be; None if the change is refused.
        over: How many uses would be over the limit. They stay, and new ones are refused.
        uses_over: The newest of them, the oldest first. Uses of an opening balance have no reservation.
        refusal: Why the change is refused.
        crossed: Thresholds that the change would cross, in order.
    """

    counting: Counting
    code: RedeemCode | None
    over: int
    uses_over: list[ExistingUse]
    refusal: Refusal | None
    crossed: Sequence[str] = ()


def preview_limits(
    services: LedgerServices, caller: Caller, campaign_id: UUID, changes: Mapping[str, Any]
) -> list[LimitChoice]:
    """Return what changed terms would mean for each choice. Nothing is changed, and nothing waits for it.

    Raises:
        ApplicationError: CAMPAIGN_NOT_FOUND.
        StorageUnavailableError: The database is unavailable.
    """
    return [_preview(services, caller, campaign_id, changes, counting) for counting in CHOICES]


def preview_code_limit(services: LedgerServices, caller: Caller, code_id: UUID, max_uses: int) -> list[CodeLimitChoice]:
    """Return what a limit of a code would mean for each choice. Nothing is changed, and nothing waits for it.

    Raises:
        ApplicationError: NOT_FOUND.
        StorageUnavailableError: The database is unavailable.
    """
    return [_preview_of_code(services, caller, code_id, max_uses, counting) for counting in CHOICES]


def view_of_code_limit_choice(choice: CodeLimitChoice, language: Language) -> CodeLimitChoiceView:
    """Return a choice as the API shows it."""
    code, refusal = choice.code, choice.refusal
    return CodeLimitChoiceView(
        counting=choice.counting,
        refused=None if refusal is None else refusal_detail(refusal.code, language, **refusal.facts),
        max_uses=code and code.terms.max_uses,
        counted=code and code.occupied,
        available=code and code.available,
        over=choice.over,
        crossed=list(choice.crossed),
        uses_over=_view_uses(choice.uses_over),
    )


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
        crossed=list(choice.crossed),
        uses_over=_view_uses(choice.over[-USES_OVER_MAX:]),
    )


def _view_uses(uses: Sequence[ExistingUse]) -> list[UseOver]:
    return [
        UseOver(code_id=use.code_id, reservation_id=use.reservation_id, reserved_at=use.reserved_at) for use in uses
    ]


def _preview_of_code(
    services: LedgerServices, caller: Caller, code_id: UUID, max_uses: int, counting: Counting
) -> CodeLimitChoice:
    command = change_terms.command(services, caller, code_id, {"max_uses": max_uses}, counting=counting)
    seen = services.storage.ledger.preview(command)
    result = seen.result
    if isinstance(result, NoSuchCode):
        raise ApplicationError.from_refusal(result)
    if isinstance(result, Refusal):
        return CodeLimitChoice(counting, None, 0, [], result)
    over = max(0, result.code.occupied - (result.code.terms.max_uses or 0))
    uses = list_newest_uses(services.storage, code_id, min(over, USES_OVER_MAX)) if over else []
    return CodeLimitChoice(counting, result.code, over, uses, None, [each.threshold for each in seen.crossed])


def _preview(
    services: LedgerServices, caller: Caller, campaign_id: UUID, changes: Mapping[str, Any], counting: Counting
) -> LimitChoice:
    context = services.context(caller)
    command = ChangeCampaignTerms(context=context, campaign_id=campaign_id, changes=changes, counting=counting)
    seen = services.storage.ledger.preview_campaign(command)
    result = seen.result
    if isinstance(result, NoSuchCampaign):
        raise ApplicationError.from_refusal(result)
    if isinstance(result, Refusal):
        return LimitChoice(counting, None, [], result)
    campaign, reader = result.campaign, CampaignReader(services.storage)
    uses = reader.list_counted_uses(campaign)
    mailboxes = reader.find_mailboxes({use.recipient_id for use in uses}) if campaign.counts_by_mailbox else {}
    day = utc_day(max(context.now, campaign.last_at))
    over = list(find_uses_over(uses, campaign.terms, day, mailboxes))
    return LimitChoice(counting, campaign, over, None, [each.threshold for each in seen.crossed])
