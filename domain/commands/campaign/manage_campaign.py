"""Create a campaign, change its terms, pause, resume and end it, and report that it ends soon."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from msgspec import Struct, structs

from domain.asks import Asks, Names
from domain.commands.context import CampaignDecision, CommandContext, id_of_text
from domain.commands.reads import Reads, name_campaigns
from domain.errors import (
    CampaignConflict,
    CampaignTermsInvalid,
    NoSuchCampaign,
    RefusalOrder,
    TermsConflict,
)
from domain.events.campaign import (
    CAMPAIGN_CHECKS,
    CAMPAIGN_TERM_NAMES,
    SHARED_LIMITS,
    CampaignCreated,
    CampaignEnded,
    CampaignEvent,
    CampaignPaused,
    CampaignResumed,
    CampaignTerms,
    CampaignTermsChanged,
    CampaignThresholdReached,
    CampaignUseTaken,
    Counting,
    find_campaign_contradictions,
)
from domain.events.code_terms import find_invalid_term
from domain.events.waiting_list import WaitingOfferMade
from domain.model.campaign import Campaign, evolve_campaign
from domain.model.counted_uses import EXISTING_USES_MAX
from domain.model.crossings import find_reached_by
from domain.model.renewed_offers import renew_offers_after_count
from domain.ports import TextDraft
from domain.values.group_name import NamesGroup
from domain.values.timestamps import utc_day
from domain.working_set import MostUses, WorkingSet


class CreateCampaign(NamesGroup, frozen=True, kw_only=True):
    """Create a campaign. `campaign_id` is new and random."""

    refusals: ClassVar[RefusalOrder] = (CampaignTermsInvalid, CampaignConflict)

    context: CommandContext
    campaign_id: UUID
    terms: CampaignTerms

    def named_group(self) -> str | None:
        """Return the group that the event will name."""
        return self.terms.group


class ChangeCampaignTerms(NamesGroup, frozen=True, kw_only=True):
    """Change some terms of a campaign. The other terms stay as they are.

    Attributes:
        changes: New values by the name of the term in `CampaignTerms`.
        expected: Change them only if the terms are still these; None: whatever they are.
        counting: Which uses its limits count from now on. `all` also accepts limits below the uses, which stay: new
            ones are refused. None: those as before, or all if it counted none, within the limits.
        note: The reason; goes to the vault.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCampaign, TermsConflict, CampaignConflict, CampaignTermsInvalid)

    context: CommandContext
    campaign_id: UUID
    changes: Mapping[str, Any]
    expected: CampaignTerms | None = None
    counting: Counting | None = None
    note: TextDraft | None = None

    def __post_init__(self) -> None:
        """Check the names of the terms.

        Raises:
            ValueError: One is not the name of a term, or the group may not be named so.
        """
        if unknown := {*self.changes} - {*CAMPAIGN_TERM_NAMES}:
            raise ValueError(f"not a term of a campaign: {', '.join(sorted(unknown))}")
        super().__post_init__()

    def named_group(self) -> str | None:
        """Return the group that the event will name, if it changes."""
        group: str | None = self.changes.get("group")
        return group


class PauseCampaign(Struct, frozen=True, kw_only=True):
    """Let its codes take no new reservations for now. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCampaign, CampaignConflict)

    context: CommandContext
    campaign_id: UUID
    note: TextDraft | None = None


class ResumeCampaign(Struct, frozen=True, kw_only=True):
    """Let its codes take new reservations again. `note`, the reason, goes to the vault."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCampaign, CampaignConflict)

    context: CommandContext
    campaign_id: UUID
    note: TextDraft | None = None


class EndCampaign(Struct, frozen=True, kw_only=True):
    """Let its codes take no new reservations permanently. What is reserved is still sent.

    `note`, the reason, goes to the vault.
    """

    refusals: ClassVar[RefusalOrder] = (NoSuchCampaign,)

    context: CommandContext
    campaign_id: UUID
    note: TextDraft | None = None


class ReportCampaignEnd(Struct, frozen=True, kw_only=True):
    """Report the thresholds before its end that have come and that no event has reported; usually none are left."""

    refusals: ClassVar[RefusalOrder] = (NoSuchCampaign,)

    context: CommandContext
    campaign_id: UUID


CampaignCommand = (
    CreateCampaign | ChangeCampaignTerms | PauseCampaign | ResumeCampaign | EndCampaign | ReportCampaignEnd
)
"""A command about one campaign, by the campaign's id."""


def _name_limited(commands: Sequence[ChangeCampaignTerms], names: Names) -> None:
    name_campaigns(commands, names)
    names.newly_limited.update(
        command.campaign_id
        for command in commands
        if command.counting is not None or any(command.changes.get(name) is not None for name in SHARED_LIMITS)
    )


def _ask_for_uses(commands: Sequence[ChangeCampaignTerms], seen: WorkingSet, asks: Asks) -> None:
    asks.most_uses.update(command.campaign_id for command in commands)
    for command in commands:
        campaign = seen.campaigns.get(command.campaign_id)
        if campaign is not None and campaign.changes_count(_new_terms(campaign, command), command.counting):
            asks.existing_uses.add(command.campaign_id)


def _ask_whether_mailboxes_are_known(commands: Sequence[CreateCampaign], _seen: WorkingSet, asks: Asks) -> None:
    asks.most_uses.update(command.campaign_id for command in commands if command.terms.person_rule is not None)


CREATE_READS: Final[Reads[CreateCampaign]] = Reads(name=name_campaigns, ask=_ask_whether_mailboxes_are_known)
CHANGE_TERMS_READS: Final[Reads[ChangeCampaignTerms]] = Reads(name=_name_limited, ask=_ask_for_uses)


NO_USES: Final = MostUses(0, 0)


def manage_campaign(command: CampaignCommand, working_set: WorkingSet) -> CampaignDecision:
    """Decide one command about a campaign. Repeating one changes nothing.

    Raises:
        Refusal: One of the command's `refusals`, in that order.
    """
    note = None if isinstance(command, CreateCampaign | ReportCampaignEnd) else command.note
    event = _decide(command, working_set)
    counted = _list_counted_uses(event, command, working_set)
    more = (*counted, *_renew_offers(event, counted, working_set.campaigns.get(command.campaign_id)))
    return CampaignDecision(command.campaign_id, event, text=note, more=more)


def _decide(command: CampaignCommand, working_set: WorkingSet) -> CampaignEvent | None:
    campaign = working_set.campaigns.get(command.campaign_id)
    fields = campaign_event_fields(command.context, campaign)
    if isinstance(command, CreateCampaign):
        if campaign is not None:  # this very command created it before its answer was lost
            return None
        _check_terms(command.terms)
        _check_end_lies_ahead(command.terms, command.context)
        _check_mailboxes_are_known(command.terms, working_set)
        return CampaignCreated(**fields, **structs.asdict(command.terms))
    if campaign is None:
        raise NoSuchCampaign
    if isinstance(command, ChangeCampaignTerms) and command.expected not in {None, campaign.terms}:
        raise TermsConflict
    if isinstance(command, ReportCampaignEnd):  # further ones that have come follow this one
        threshold = find_reached_by(campaign, fields["at"])
        return None if threshold is None else CampaignThresholdReached(**fields, threshold=threshold)
    if isinstance(command, EndCampaign):
        return None if campaign.ended_by is not None else CampaignEnded(**fields, text_id=id_of_text(command.note))
    if campaign.ended_by is not None:
        raise CampaignConflict("ended")
    if isinstance(command, ChangeCampaignTerms):
        return _change_terms(campaign, command, fields, working_set)
    to_pause = isinstance(command, PauseCampaign)
    if campaign.is_paused == to_pause:
        return None
    return (CampaignPaused if to_pause else CampaignResumed)(**fields, text_id=id_of_text(command.note))


def campaign_event_fields(context: CommandContext, campaign: Campaign | None) -> dict[str, Any]:
    """Return the fields that events of campaigns share. Time never goes back within a stream."""
    at = context.now if campaign is None else max(context.now, campaign.last_at)
    fields: dict[str, Any] = {
        "at": at,
        "actor": context.actor,
        "actor_id": context.actor_id,
        "approved_by": context.approved_by,
        "request_id": context.request_id,
        "correlation_id": context.correlation_id,
    }
    return fields if at == context.now else {**fields, "recorded_at": context.now}


def _change_terms(
    campaign: Campaign, command: ChangeCampaignTerms, fields: dict[str, Any], working_set: WorkingSet
) -> CampaignTermsChanged | None:
    terms = _new_terms(campaign, command)
    changes_count = campaign.changes_count(terms, command.counting)
    if command.counting is not None and not terms.has_shared_limits:
        raise CampaignConflict("uncounted")
    if terms == campaign.terms and not changes_count:
        return None
    _check_terms(terms)
    if terms.ends_at != campaign.terms.ends_at:  # an end that has passed does not bar a change of other terms
        _check_end_lies_ahead(terms, command.context)
    if terms.person_rule != campaign.terms.person_rule:
        _check_mailboxes_are_known(terms, working_set)
    if changes_count:
        fields |= _begin_counting(campaign, command, fields["at"], working_set)
    if command.counting is None and (
        in_use := _find_exceeded_limits(campaign, terms, fields["at"], working_set, changes_count=changes_count)
    ):
        raise CampaignConflict.below_uses(in_use)
    return CampaignTermsChanged(**fields, **structs.asdict(terms), text_id=id_of_text(command.note))


def _new_terms(campaign: Campaign, command: ChangeCampaignTerms) -> CampaignTerms:
    return structs.replace(campaign.terms, **command.changes)


def _begin_counting(
    campaign: Campaign, command: ChangeCampaignTerms, at: datetime, working_set: WorkingSet
) -> dict[str, Any]:
    """Return the choice, and the time: later than every use that exists, so that the time alone tells them apart.

    Raises:
        CampaignConflict: `why` too_many_uses.
    """
    counting: Counting = "from_now" if command.counting == "from_now" else "all"
    uses = working_set.find_existing_uses(campaign.campaign_id)
    if counting == "all" and len(uses) > EXISTING_USES_MAX:
        raise CampaignConflict("too_many_uses")
    latest = [campaign.last_at, *(use.reserved_at for use in uses)]
    begins_at = max(at, max(latest) + timedelta(microseconds=1))
    changed = {} if begins_at == at else {"at": begins_at, "recorded_at": command.context.now}
    return {**changed, "counting": counting}


def _list_counted_uses(
    event: CampaignEvent | None, command: CampaignCommand, working_set: WorkingSet
) -> Sequence[CampaignUseTaken]:
    """Return an event for each use that limits count from an event on, the oldest first."""
    if not isinstance(event, CampaignTermsChanged) or event.counting != "all":
        return ()
    shared = campaign_event_fields(command.context, None) | {"at": event.at, "recorded_at": event.recorded_at}
    uses = working_set.find_existing_uses(command.campaign_id)
    return [CampaignUseTaken(**shared, **use._asdict()) for use in uses]


def _renew_offers(
    event: CampaignEvent | None, counted: Sequence[CampaignUseTaken], campaign: Campaign | None
) -> Sequence[WaitingOfferMade]:
    """Return the offers that can be taken again once limits count all uses."""
    begins_to_count = isinstance(event, CampaignTermsChanged) and event.counting == "all"
    if campaign is None or not campaign.waiting or event is None or not begins_to_count:
        return ()
    after = campaign
    for version, each in enumerate([event, *counted], campaign.version + 1):
        after = evolve_campaign(after, campaign.campaign_id, version, each)
    return renew_offers_after_count(campaign, event, after)


def _find_exceeded_limits(
    campaign: Campaign, terms: CampaignTerms, at: datetime, working_set: WorkingSet, *, changes_count: bool
) -> dict[str, int]:
    """Return the uses that limits would be below, by the name of the limit."""
    most = working_set.most_per_person.get(campaign.campaign_id, NO_USES)
    in_use = {
        "max_uses": campaign.occupied,
        "max_per_person": most.of_address if terms.person_rule is None else most.of_mailbox,
        "max_per_day": campaign.count_on_day(at),
    }
    if changes_count:
        uses, day = working_set.find_existing_uses(campaign.campaign_id), utc_day(at)
        in_use |= {"max_uses": len(uses), "max_per_day": sum(utc_day(use.reserved_at) == day for use in uses)}
    # Uses over a limit that staff set below them do not bar a change of other terms.
    before = {} if changes_count or terms.person_rule != campaign.terms.person_rule else structs.asdict(campaign.terms)
    limits: dict[str, int | None] = {name: getattr(terms, name) for name in in_use}
    limits = {name: limit for name, limit in limits.items() if name not in before or limit != before[name]}
    return {name: in_use[name] for name, limit in limits.items() if limit is not None and limit < in_use[name]}


def _check_terms(terms: CampaignTerms) -> None:
    """Check every term, and those that depend on one another.

    Raises:
        CampaignTermsInvalid: `why` names the term, or how two contradict each other.
    """
    if (name := find_invalid_term(structs.asdict(terms), CAMPAIGN_CHECKS)) is not None:
        raise CampaignTermsInvalid(name)
    for why in find_campaign_contradictions(terms):
        raise CampaignTermsInvalid(why)


def _check_mailboxes_are_known(terms: CampaignTerms, working_set: WorkingSet) -> None:
    """Check that uses can be counted by mailbox: addresses of an older version have no digest of theirs.

    Raises:
        CampaignConflict: `why` no_mailboxes.
    """
    if terms.person_rule is not None and working_set.lacks_mailboxes:
        raise CampaignConflict("no_mailboxes")


def _check_end_lies_ahead(terms: CampaignTerms, context: CommandContext) -> None:
    """Check that a new end has not passed: staff have a command to end a campaign, and it is permanent.

    Raises:
        CampaignTermsInvalid: It has.
    """
    if terms.ends_at is not None and terms.ends_at <= context.now:
        raise CampaignTermsInvalid("end_in_past")
