"""Create a hand-out of a campaign's codes, pause, resume and end it."""

from functools import partial
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from msgspec import Struct, structs

from domain.commands.campaign.manage_campaign import campaign_event_fields, record_in_campaign
from domain.commands.context import CommandContext
from domain.commands.input_bounds import check_agreement, check_terms
from domain.errors import (
    CampaignHasEnded,
    ContradictoryTerms,
    HandOutConflict,
    HandOutInvalid,
    NamedCampaignUnknown,
    NoSuchHandOut,
    OutOfBounds,
    Refusal,
    RefusalOrder,
)
from domain.events.code_terms import CodeTerms
from domain.events.hand_out import HandOutCreated, HandOutEnded, HandOutEvent, HandOutPaused, HandOutResumed
from domain.model.hand_out import HandOut
from domain.values.group_name import NamesGroup, group_name_error
from domain.values.number_bounds import MAILS_PER_MINUTE
from domain.working_set import WorkingSet


class CreateHandOut(NamesGroup, frozen=True, kw_only=True):
    """Create a hand-out. `hand_out_id` is new and random.

    `terms` and `bound` are those of its codes; `per_minute` bounds its emails, None for as fast as workers send.
    """

    refusals: ClassVar[RefusalOrder] = (
        NamedCampaignUnknown,
        CampaignHasEnded,
        HandOutInvalid,
        OutOfBounds,
        ContradictoryTerms,
    )

    context: CommandContext
    campaign_id: UUID
    hand_out_id: UUID
    name: str
    terms: CodeTerms
    per_minute: int | None = None
    bound: bool = True

    def named_group(self) -> str | None:
        """Return the group that the events will name."""
        return self.terms.group


class PauseHandOut(Struct, frozen=True, kw_only=True):
    """Hand no further code out for now."""

    refusals: ClassVar[RefusalOrder] = (NoSuchHandOut, HandOutConflict)

    context: CommandContext
    campaign_id: UUID
    hand_out_id: UUID


class ResumeHandOut(Struct, frozen=True, kw_only=True):
    """Hand codes out again."""

    refusals: ClassVar[RefusalOrder] = (NoSuchHandOut, HandOutConflict)

    context: CommandContext
    campaign_id: UUID
    hand_out_id: UUID


class EndHandOut(Struct, frozen=True, kw_only=True):
    """Hand no further code out, permanently."""

    refusals: ClassVar[RefusalOrder] = (NoSuchHandOut,)

    context: CommandContext
    campaign_id: UUID
    hand_out_id: UUID


HandOutCommand = CreateHandOut | PauseHandOut | ResumeHandOut | EndHandOut
"""A command about one hand-out of a campaign."""


class HandOutResult(NamedTuple):
    """A hand-out as of the end of a command, and whether the command changed it."""

    hand_out: HandOut
    changed: bool


def handle_hand_out(command: HandOutCommand, working_set: WorkingSet) -> HandOutResult | Refusal:
    """Decide one command about a hand-out and fold its event in. Repeating one changes nothing.

    Raises:
        InvariantViolationError: An invariant would break; nothing may be committed.
    """
    changed = record_in_campaign(command.campaign_id, working_set, partial(_decide, command, working_set))
    if isinstance(changed, Refusal):
        return changed
    return HandOutResult(working_set.hand_outs[command.hand_out_id], changed=changed)


def _decide(command: HandOutCommand, working_set: WorkingSet) -> HandOutEvent | None:
    hand_out = working_set.hand_outs.get(command.hand_out_id)
    if isinstance(command, CreateHandOut):
        return None if hand_out is not None else _create(command, working_set)
    if hand_out is None or hand_out.campaign_id != command.campaign_id:
        raise NoSuchHandOut
    fields = _event_fields(command, working_set)
    if isinstance(command, EndHandOut):
        return None if hand_out.state == "ended" else HandOutEnded(**fields)
    if hand_out.state == "ended":
        raise HandOutConflict("ended")
    to_pause = isinstance(command, PauseHandOut)
    if (hand_out.state == "paused") == to_pause:
        return None
    return (HandOutPaused if to_pause else HandOutResumed)(**fields)


def _create(command: CreateHandOut, working_set: WorkingSet) -> HandOutCreated:
    if working_set.campaign(command.campaign_id).ended_by is not None:
        raise CampaignHasEnded(why="issue")
    if not command.name or group_name_error(command.name) is not None:
        raise HandOutInvalid("name")
    if command.per_minute is not None and not MAILS_PER_MINUTE.holds(command.per_minute):
        raise HandOutInvalid("per_minute")
    if command.terms.expires_at is not None and command.terms.expires_at <= command.context.now:
        raise HandOutInvalid("expires_at")
    terms = structs.asdict(command.terms)
    check_terms(terms)
    check_agreement(command.terms)
    return HandOutCreated(
        **_event_fields(command, working_set),
        **terms,
        name=command.name,
        per_minute=command.per_minute,
        bound=command.bound,
    )


def _event_fields(command: HandOutCommand, working_set: WorkingSet) -> dict[str, Any]:
    campaign = working_set.campaign(command.campaign_id)
    return {**campaign_event_fields(command.context, campaign), "hand_out_id": command.hand_out_id}
