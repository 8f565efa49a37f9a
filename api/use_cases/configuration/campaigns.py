"""Campaigns of a configuration file. The effect of changed limits on live uses is that of `preview_limits`."""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

from api.schemas.campaign_terms import CAMPAIGN_TERMS
from api.schemas.campaigns import LimitChoiceView
from api.schemas.code_terms import document_of_terms
from api.use_cases import campaign_actions
from api.use_cases.configuration.changes import PlanContext, PlannedChange, find_object, list_differences, refuse
from api.use_cases.configuration.config_file import CampaignEntry
from api.use_cases.preview_limits import preview_limits, view_of_limit_choice
from domain.commands.campaign.manage_campaign import CampaignCommand, ChangeCampaignTerms, CreateCampaign
from domain.errors import Refusal
from domain.events.campaign import CAMPAIGN_TERM_NAMES, SHARED_LIMITS, CampaignTerms
from projections.database.store_queries import ReadableStore
from projections.read_models.campaign_list import CampaignBalance, CampaignReader
from projections.read_models.pagination import OLDEST, read_to_end

IDS: Final = uuid5(NAMESPACE_OID, "campaigns of configuration files")
"""Namespace of the ids of campaigns that files create (RFC 9562, version 5): a file creates a campaign once."""
COUNTED_TERMS: Final = frozenset({*SHARED_LIMITS, "person_rule"})
"""Terms whose change can put existing uses over a limit."""


def plan_campaigns(context: PlanContext, entries: Sequence[CampaignEntry]) -> Iterator[PlannedChange]:
    """Yield the change of each campaign that differs from its entry.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    balances = list(_read_campaigns(context.services.storage))
    named: set[UUID] = set()
    for entry in entries:
        try:
            balance = _find_campaign(entry, balances)
        except LookupError as error:
            yield refuse("campaign", entry.name, str(error))
            continue
        terms = entry.terms(campaign_actions.default_terms(context.settings))
        if balance is None:
            yield _create(context, terms)
            continue
        named.add(balance.campaign.campaign_id)
        if (change := _change(context, balance, terms)) is not None:
            yield change
    if context.prunes:
        yield from (_end(context, one) for one in balances if _is_open(one) and one.campaign.campaign_id not in named)


def export_campaigns(storage: ReadableStore) -> Iterator[dict[str, Any]]:
    """Yield the entry of each campaign that has not ended, oldest first."""
    for balance in _read_campaigns(storage):
        if _is_open(balance):
            yield {"id": balance.campaign.campaign_id, **_without_none(_document(balance.campaign.terms))}


def _find_campaign(entry: CampaignEntry, balances: Sequence[CampaignBalance]) -> CampaignBalance | None:
    """Return the campaign that an entry is about: by its id, else by its name, else the one that this name created."""
    rows = [(one.campaign.campaign_id, one.campaign.terms.name, one) for one in balances]
    live = find_object(entry.id, entry.name, rows if entry.id else [row for row in rows if _is_open(row[2])])
    created_id = uuid5(IDS, entry.name)
    return live or next(
        (one for campaign_id, name, one in rows if name == entry.name or campaign_id == created_id), None
    )


def _create(context: PlanContext, terms: CampaignTerms) -> PlannedChange:
    campaign_id = uuid5(IDS, terms.name)
    command = CreateCampaign(context=context.services.context(context.caller), campaign_id=campaign_id, terms=terms)

    def perform() -> None:
        campaign_actions.create_campaign(context.services, context.caller, terms, campaign_id)

    return PlannedChange(
        kind="campaign",
        name=terms.name,
        action="create",
        differences=list_differences({}, _without_none(_document(terms))),
        live={},
        problem=_find_refusal(context, command),
        perform=perform,
    )


def _change(context: PlanContext, balance: CampaignBalance, terms: CampaignTerms) -> PlannedChange | None:
    services, campaign_id, before = context.services, balance.campaign.campaign_id, balance.campaign.terms
    pairs = {name: (getattr(before, name), getattr(terms, name)) for name in CAMPAIGN_TERM_NAMES}
    changes = {name: after for name, (now, after) in pairs.items() if after != now}
    if not changes:
        return None
    command = ChangeCampaignTerms(
        context=services.context(context.caller), campaign_id=campaign_id, changes=changes, counting=context.counting
    )

    def perform() -> None:
        campaign_actions.change_campaign(
            services,
            context.caller,
            campaign_id,
            changes,
            expected=before,
            counting=context.counting,
            note=context.note,
        )

    return PlannedChange(
        kind="campaign",
        name=before.name,
        action="change",
        differences=list_differences(_document(before), _document(terms)),
        live=_count_uses(balance),
        choices=_preview(context, campaign_id, changes) if COUNTED_TERMS & changes.keys() else (),
        problem=_find_refusal(context, command),
        perform=perform,
    )


def _end(context: PlanContext, balance: CampaignBalance) -> PlannedChange:
    def perform() -> None:
        campaign_actions.end_campaign(context.services, context.caller, balance.campaign.campaign_id, note=context.note)

    return PlannedChange(
        kind="campaign", name=balance.campaign.terms.name, action="remove", live=_count_uses(balance), perform=perform
    )


def _find_refusal(context: PlanContext, command: CampaignCommand) -> str | None:
    result = context.services.storage.ledger.preview_campaign(command).result
    return context.explain(result) if isinstance(result, Refusal) else None


def _preview(context: PlanContext, campaign_id: UUID, changes: dict[str, Any]) -> list[LimitChoiceView]:
    choices = preview_limits(context.services, context.caller, campaign_id, changes)
    return [view_of_limit_choice(choice, context.services.now(), context.language) for choice in choices]


def _read_campaigns(storage: ReadableStore) -> Iterator[CampaignBalance]:
    read_page = CampaignReader(storage).list_campaigns
    return read_to_end(read_page, OLDEST, lambda one: (one.campaign.created_at, one.campaign.campaign_id))


def _is_open(balance: CampaignBalance) -> bool:
    return balance.campaign.ended_by is None


def _count_uses(balance: CampaignBalance) -> dict[str, object]:
    available = "unlimited" if balance.campaign.available is None else balance.campaign.available
    return {"codes": balance.codes, "used": balance.used, "reserved": balance.reserved, "available": available}


def _document(terms: CampaignTerms) -> dict[str, Any]:
    """Return terms as the file has them, with the word of a choice that is not made."""
    words = {one.name: one.none_word for one in CAMPAIGN_TERMS if one.choices and getattr(terms, one.name) is None}
    return document_of_terms(terms) | words


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
