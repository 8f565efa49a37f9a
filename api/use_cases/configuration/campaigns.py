"""Campaigns of a configuration file. The effect of changed limits on live uses is that of `preview_limits`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_OID, UUID, uuid5

from api.schemas.campaign_terms import CAMPAIGN_TERMS
from api.schemas.campaigns import LimitChoiceView
from api.schemas.code_terms import document_of_terms
from api.use_cases import campaign_actions
from api.use_cases.configuration.changes import (
    Existing,
    PlanContext,
    PlannedChange,
    list_differences,
    plan_entries,
    refuse,
)
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
SHOWN_TERMS: Final = COUNTED_TERMS | {"notify_at", "waiting_hours"}
"""Terms whose change has an effect on uses, reports or people who wait; others apply to later requests only."""
HAS_ENDED: Final = "the campaign with this name has ended permanently: give a new campaign another name"


def plan_campaigns(context: PlanContext, entries: Sequence[CampaignEntry]) -> Iterator[PlannedChange]:
    """Return the change of each campaign that differs from its entry.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    campaigns = [
        Existing(one.campaign.campaign_id, one.campaign.terms.name, not _is_open(one), one)
        for one in _read_campaigns(context.services.storage)
    ]
    ids = {one.object_id for one in campaigns}

    def plan(entry: CampaignEntry, existing: Existing[CampaignBalance] | None) -> PlannedChange | None:
        terms = entry.terms(campaign_actions.default_terms(context.settings))
        if existing is None:
            return _create(context, terms, ids)
        if terms == existing.value.campaign.terms:
            return None
        return (
            refuse("campaign", entry.name, HAS_ENDED) if existing.has_ended else _change(context, existing.value, terms)
        )

    return plan_entries(context, "campaign", entries, campaigns, plan, partial(_end, context))


def export_campaigns(storage: ReadableStore, _now: datetime) -> Iterator[dict[str, Any]]:
    """Yield the entry of each campaign that has not ended, oldest first."""
    for balance in _read_campaigns(storage):
        if _is_open(balance):
            yield {"id": balance.campaign.campaign_id, **_without_none(_document(balance.campaign.terms))}


def _create(context: PlanContext, terms: CampaignTerms, ids: Collection[UUID]) -> PlannedChange:
    usual_id = uuid5(IDS, terms.name)
    campaign_id = context.services.new_id() if usual_id in ids else usual_id
    command = CreateCampaign(context=context.services.context(context.caller), campaign_id=campaign_id, terms=terms)

    def perform() -> None:
        campaign_actions.create_campaign(context.services, context.caller, terms, campaign_id)

    return PlannedChange(
        kind="campaign",
        name=terms.name,
        action="create",
        differences=list_differences({}, _without_none(_document(terms))),
        live={},
        problem=_preview(context, command).problem,
        perform=perform,
    )


def _change(context: PlanContext, balance: CampaignBalance, terms: CampaignTerms) -> PlannedChange:
    services, campaign_id, before = context.services, balance.campaign.campaign_id, balance.campaign.terms
    pairs = {name: (getattr(before, name), getattr(terms, name)) for name in CAMPAIGN_TERM_NAMES}
    changes = {name: after for name, (now, after) in pairs.items() if after != now}
    has_choice = bool(COUNTED_TERMS & changes.keys()) and terms.has_shared_limits
    counting = context.counting if has_choice else None
    command = ChangeCampaignTerms(
        context=services.context(context.caller), campaign_id=campaign_id, changes=changes, counting=counting
    )
    preview = _preview(context, command, waits=bool(balance.campaign.waiting))

    def perform() -> None:
        campaign_actions.change_campaign(
            services, context.caller, campaign_id, changes, expected=before, counting=counting, note=context.note
        )

    return PlannedChange(
        kind="campaign",
        name=before.name,
        action="change",
        differences=list_differences(_document(before), _document(terms)),
        live=_count_uses(balance),
        then=preview.then if SHOWN_TERMS & changes.keys() else {},
        choices=_list_choices(context, campaign_id, changes) if has_choice else (),
        problem=preview.problem,
        perform=perform,
    )


def _end(context: PlanContext, balance: CampaignBalance) -> PlannedChange:
    def perform() -> None:
        campaign_actions.end_campaign(context.services, context.caller, balance.campaign.campaign_id, note=context.note)

    return PlannedChange(
        kind="campaign",
        name=balance.campaign.terms.name,
        action="remove",
        live=_count_uses(balance),
        then={"available": 0},
        perform=perform,
    )


class _Preview(NamedTuple):
    """Why a command is refused, or what is in use after it."""

    problem: str | None
    then: Mapping[str, object]


def _preview(context: PlanContext, command: CampaignCommand, *, waits: bool = False) -> _Preview:
    seen = context.services.storage.ledger.preview_campaign(command)
    if isinstance(seen.result, Refusal):
        return _Preview(context.explain(seen.result), {})
    campaign = seen.result.campaign
    then: dict[str, object] = {"available": "unlimited" if campaign.available is None else campaign.available}
    if campaign.counts_uses:
        then["counted"] = campaign.occupied
    if waits:
        then["waiting"] = len(campaign.waiting)
    if seen.crossed:
        then["crosses"] = [one.threshold for one in seen.crossed]
    return _Preview(None, then)


def _list_choices(context: PlanContext, campaign_id: UUID, changes: dict[str, Any]) -> list[LimitChoiceView]:
    choices = preview_limits(context.services, context.caller, campaign_id, changes)
    return [view_of_limit_choice(choice, context.services.now(), context.language) for choice in choices]


def _read_campaigns(storage: ReadableStore) -> Iterator[CampaignBalance]:
    read_page = CampaignReader(storage).list_campaigns
    return read_to_end(read_page, OLDEST, lambda one: (one.campaign.created_at, one.campaign.campaign_id))


def _is_open(balance: CampaignBalance) -> bool:
    return balance.campaign.ended_by is None


def _count_uses(balance: CampaignBalance) -> dict[str, object]:
    available = "unlimited" if balance.campaign.available is None else balance.campaign.available
    counts: dict[str, object] = {"codes": balance.codes, "used": balance.used, "reserved": balance.reserved}
    waiting = {"waiting": len(balance.campaign.waiting)} if balance.campaign.waiting else {}
    return {**counts, "available": available, **waiting}


def _document(terms: CampaignTerms) -> dict[str, Any]:
    """Return terms as the file has them, with the word of a choice that is not made."""
    words = {one.name: one.none_word for one in CAMPAIGN_TERMS if one.choices and getattr(terms, one.name) is None}
    return document_of_terms(terms) | words


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
