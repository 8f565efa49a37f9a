"""Issue a code."""

from typing import ClassVar
from uuid import UUID

from msgspec import structs

from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.input_bounds import check_agreement, check_terms
from domain.errors import CampaignHasEnded, ContradictoryTerms, NoSuchCampaign, OutOfBounds, RefusalOrder
from domain.events import CodeIssued
from domain.events.code_terms import CodeTerms
from domain.ports import CodeDraft
from domain.values.group_name import NamesGroup
from domain.working_set import WorkingSet


class IssueCode(NamesGroup, frozen=True, kw_only=True):
    """Create a code. `code_id` is new and random; `text` goes to the vault, never into an event.

    `bound`: only its first recipient may redeem it. `note_id` names a note that the vault has already.
    `campaign_id`: the campaign that it belongs to permanently.
    """

    refusals: ClassVar[RefusalOrder] = (OutOfBounds, ContradictoryTerms, NoSuchCampaign, CampaignHasEnded)

    context: CommandContext
    code_id: UUID
    text: CodeDraft
    terms: CodeTerms
    bound: bool
    note_id: UUID | None = None
    campaign_id: UUID | None = None

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
    terms = structs.asdict(command.terms)
    check_terms(terms)
    check_agreement(command.terms)
    if command.campaign_id is not None and working_set.campaign(command.campaign_id).ended_by is not None:
        raise CampaignHasEnded
    shared_fields = event_stamp(command.context, None).fields
    event = CodeIssued(
        **shared_fields, **terms, bound=command.bound, text_id=command.note_id, campaign_id=command.campaign_id
    )
    return Decision(command.code_id, [event])
