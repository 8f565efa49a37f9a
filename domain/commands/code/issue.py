"""Issue a code."""

from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple
from uuid import UUID

from msgspec import structs

from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.input_bounds import check_agreement, check_terms
from domain.errors import CampaignHasEnded, ContradictoryTerms, NamedCampaignUnknown, OutOfBounds, RefusalOrder
from domain.events.code import CodeIssued
from domain.events.code_terms import CodeTerms
from domain.events.hand_out import CodeHandedOut
from domain.model.campaign import Campaign
from domain.ports import CodeDraft
from domain.values.group_name import NamesGroup
from domain.working_set import WorkingSet


class HandOutPlace(NamedTuple):
    """The hand-out that a code is issued by, and the recipient whom the code is for, by their random id.

    `codes`: how many codes the recipient's line has. `line_id`: the first of them, for the other ones.
    """

    hand_out_id: UUID
    recipient_id: UUID
    codes: int = 1
    line_id: UUID | None = None


class IssueCode(NamesGroup, frozen=True, kw_only=True):
    """Create a code. `code_id` is new and random; `text` goes to the vault, never into an event.

    `bound`: only its first recipient may redeem it. `note_id` names a note that the vault has already.
    `campaign_id`: the campaign that it belongs to permanently. `handed_out`: for a code that a hand-out issues.
    `valid_for_days`: it ends that many days after its issue, or after its start if that is later; or as its terms say,
    if that is before. A code that names neither has the days of its campaign.
    """

    refusals: ClassVar[RefusalOrder] = (NamedCampaignUnknown, CampaignHasEnded, OutOfBounds, ContradictoryTerms)

    context: CommandContext
    code_id: UUID
    text: CodeDraft
    terms: CodeTerms
    bound: bool
    note_id: UUID | None = None
    campaign_id: UUID | None = None
    handed_out: HandOutPlace | None = None
    valid_for_days: int | None = None

    def named_group(self) -> str | None:
        """Return the group that the events will name."""
        return self.terms.group


def issue_code(command: IssueCode, working_set: WorkingSet) -> Decision:
    """Issue the code, unless this command did so before its answer was lost.

    Raises:
        Refusal: One of `IssueCode.refusals`, in that order.
    """
    if command.code_id in working_set.codes:
        return Decision(command.code_id)
    campaign = None if command.campaign_id is None else working_set.campaign(command.campaign_id)
    if campaign is not None and campaign.ended_by is not None:
        raise CampaignHasEnded(why="issue")
    stamp = event_stamp(command.context, None)
    terms = _end_terms(command, campaign, stamp.now)
    check_terms(structs.asdict(terms))
    check_agreement(terms)
    shared_fields = stamp.fields
    event = CodeIssued(
        **shared_fields,
        **structs.asdict(terms),
        bound=command.bound,
        text_id=command.note_id,
        campaign_id=command.campaign_id,
    )
    if command.handed_out is None:
        return Decision(command.code_id, [event], code_text=command.text)
    handed_out = CodeHandedOut(**shared_fields, **command.handed_out._asdict())
    return Decision(command.code_id, [event, handed_out], code_text=command.text)


def _end_terms(command: IssueCode, campaign: Campaign | None, now: datetime) -> CodeTerms:
    """Return the terms with the end by days."""
    days, terms = find_valid_days(command.valid_for_days, command.terms, campaign), command.terms
    return terms if days is None else structs.replace(terms, expires_at=end_after(days, terms, now))


def find_valid_days(own_days: int | None, terms: CodeTerms, campaign: Campaign | None) -> int | None:
    """Return the days after which a new code ends: its own, or those of its campaign if it has no own end."""
    if own_days is not None or campaign is None or terms.expires_at is not None:
        return own_days
    return campaign.terms.valid_for_days


def end_after(days: int, terms: CodeTerms, now: datetime) -> datetime:
    """Return the end of a code some days after a time, or after its start if that is later; an earlier end stays."""
    own_end = max(now, terms.starts_at or now) + timedelta(days=days)
    return min(own_end, terms.expires_at or own_end)
