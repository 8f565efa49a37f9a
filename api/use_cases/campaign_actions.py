"""What staff and integrators do about campaigns, for API, pages and command line alike.

Each function executes one command and returns the campaign with the sums of its codes.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from msgspec import structs

from api.errors import ApplicationError
from api.use_cases.approvals.approval_guard import require_approval
from api.use_cases.approvals.requests import CampaignEnd
from api.use_cases.issue_codes import CodeTemplate
from api.use_cases.services import Caller, LedgerServices
from domain.commands.campaign.manage_campaign import (
    CampaignCommand,
    ChangeCampaignTerms,
    CreateCampaign,
    EndCampaign,
    PauseCampaign,
    ResumeCampaign,
)
from domain.errors import CampaignHasEnded, NamedCampaignUnknown, Refusal
from domain.events.campaign import CampaignTerms, Counting
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.model.campaign import Campaign
from projections.config.settings import LedgerSettings
from projections.read_models.campaign_list import CampaignBalance, CampaignReader
from projections.storage.bootstrap import LedgerStore


def default_terms(settings: LedgerSettings) -> dict[str, Any]:
    """Return the terms of a new campaign by name where the request names none, as the settings say."""
    return {"person_rule": None if settings.person_rule == "exact" else settings.person_rule}


def create_campaign(
    services: LedgerServices, caller: Caller, terms: CampaignTerms, campaign_id: UUID | None = None
) -> CampaignBalance:
    """Create a campaign. With the same `campaign_id` again nothing is created; None draws a new one.

    Raises:
        ApplicationError: The terms are not valid.
        StorageUnavailableError: The database is unavailable.
    """
    command = CreateCampaign(
        context=services.context(caller), campaign_id=campaign_id or services.new_id(), terms=terms
    )
    return _execute(services, command)


def change_campaign(
    services: LedgerServices,
    caller: Caller,
    campaign_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected: CampaignTerms | None = None,
    counting: Counting | None = None,
    note: str | None = None,
) -> CampaignBalance:
    """Change the terms that `changes` names, if the terms are still the expected ones; None expects any.

    Args:
        services: What a use case needs.
        caller: Who asks.
        campaign_id: The campaign.
        changes: New values by the name of the term.
        expected: Change them only if the terms are still these.
        counting: Which uses the limits count; None: as before, or all if it counted none.
        note: The reason.

    Raises:
        ApplicationError: There is no such campaign, it has ended, or the terms have changed or are not possible.
        StorageUnavailableError: The database is unavailable.
    """
    about = _name(services, caller, campaign_id, note)
    return _execute(services, ChangeCampaignTerms(**about, changes=changes, expected=expected, counting=counting))


def pause_campaign(
    services: LedgerServices, caller: Caller, campaign_id: UUID, *, note: str | None = None
) -> CampaignBalance:
    """Refuse new reservations of its codes for now. `note` is the reason."""
    return _execute(services, PauseCampaign(**_name(services, caller, campaign_id, note)))


def resume_campaign(
    services: LedgerServices, caller: Caller, campaign_id: UUID, *, note: str | None = None
) -> CampaignBalance:
    """Accept new reservations of its codes again. `note` is the reason."""
    return _execute(services, ResumeCampaign(**_name(services, caller, campaign_id, note)))


def end_campaign(
    services: LedgerServices, caller: Caller, campaign_id: UUID, *, note: str | None = None
) -> CampaignBalance:
    """Refuse new reservations of its codes permanently. `note` is the reason.

    Raises:
        ApplicationError: There is no such campaign; APPROVAL_REQUIRED, it waits for a second person now.
        ProofRequiredError: A member of staff asks for it without a fresh proof.
        StorageUnavailableError: The database is unavailable.
    """
    services.open_audit_log(caller).require_proof()
    campaign = CampaignReader(services.storage).find_campaign_state(campaign_id)
    if campaign is not None and campaign.ended_by is None:
        require_approval(services, caller, CampaignEnd(campaign_id), note or "")
    return _execute(services, EndCampaign(**_name(services, caller, campaign_id, note)))


def put_into_campaign(
    storage: LedgerStore, template: CodeTemplate, campaign_id: UUID, named: Collection[str] = ()
) -> CodeTemplate:
    """Return what codes that are imported into a campaign have in common: its defaults, where they name none.

    Raises:
        ApplicationError: There is no such campaign, or it has ended.
    """
    balance = CampaignReader(storage).find_campaign(campaign_id)
    if balance is None:
        raise ApplicationError.from_refusal(NamedCampaignUnknown())
    if balance.campaign.ended_by is not None:
        raise ApplicationError.from_refusal(CampaignHasEnded(why="issue"))
    return replace(template, terms=apply_defaults(template.terms, balance.campaign, named), campaign_id=campaign_id)


def with_defaults_of_campaign(
    storage: LedgerStore, terms: CodeTerms, campaign_id: UUID, named: Collection[str]
) -> CodeTerms:
    """Return terms of codes that are issued in a campaign: its defaults, where they name none.

    Raises:
        ApplicationError: CAMPAIGN_UNKNOWN.
    """
    balance = CampaignReader(storage).find_campaign(campaign_id)
    if balance is None:
        raise ApplicationError.from_refusal(NamedCampaignUnknown())
    return apply_defaults(terms, balance.campaign, named)


def apply_defaults(terms: CodeTerms, campaign: Campaign, named: Collection[str]) -> CodeTerms:
    """Return terms of codes of a campaign: its group and the terms of its codes, where the issue names none.

    Args:
        terms: The terms of the issue.
        campaign: The campaign.
        named: Names of the terms that the issue names; others have their usual value in `terms`.
    """
    # Null as the group has always meant that of the campaign, even where a request names it.
    own = {*named} - {"group"} if terms.group is None else {*named, "group"}
    changes = {name: value for name, value in list_code_defaults(campaign).items() if name not in own}
    return structs.replace(terms, **changes)


def list_code_defaults(campaign: Campaign) -> dict[str, Any]:
    """Return the terms of a campaign's codes that their issue need not name, as far as the campaign has them."""
    terms = structs.asdict(campaign.terms)
    defaults = {name: terms.get("group" if name == "group" else f"code_{name}") for name in TERM_NAMES}
    return {name: value for name, value in defaults.items() if value is not None}


def _name(services: LedgerServices, caller: Caller, campaign_id: UUID, note: str | None) -> dict[str, Any]:
    """Return the fields that commands about an existing campaign share."""
    return {"context": services.context(caller), "campaign_id": campaign_id, "note": services.note(note)}


def _execute(services: LedgerServices, command: CampaignCommand) -> CampaignBalance:
    result = services.storage.ledger.execute_one(command)
    if isinstance(result, Refusal):
        raise ApplicationError.from_refusal(result)
    balance = CampaignReader(services.storage).find_campaign(command.campaign_id)
    return CampaignBalance(result.campaign, 0, 0, 0) if balance is None else balance
