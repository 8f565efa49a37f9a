"""Let a code that exists join a campaign. Uses that were reserved before stay outside of it."""

from collections.abc import Sequence
from typing import ClassVar, Final
from uuid import UUID

from msgspec import Struct

from domain.asks import Names
from domain.commands.context import CommandContext, Decision, event_stamp
from domain.commands.reads import Reads, name_codes
from domain.errors import (
    CampaignHasEnded,
    CodeIsRevoked,
    CodeNotJoinable,
    NamedCampaignUnknown,
    NoSuchCode,
    RefusalOrder,
)
from domain.events.code import CodeJoinedCampaign
from domain.working_set import WorkingSet


class JoinCampaign(Struct, frozen=True, kw_only=True):
    """Let a code belong to a campaign permanently."""

    refusals: ClassVar[RefusalOrder] = (
        NoSuchCode,
        NamedCampaignUnknown,
        CodeIsRevoked,
        CampaignHasEnded,
        CodeNotJoinable,
    )

    context: CommandContext
    code_id: UUID
    campaign_id: UUID


def _name(commands: Sequence[JoinCampaign], names: Names) -> None:
    name_codes(commands, names)
    for command in commands:
        names.joins.setdefault(command.code_id, set()).add(command.campaign_id)


JOIN_READS: Final[Reads[JoinCampaign]] = Reads(name=_name)


def join_campaign(command: JoinCampaign, working_set: WorkingSet) -> Decision:
    """Record that the code joined the campaign; nothing if it belongs to it already.

    A reserved use would be outside of the limits that hold for the uses after it, so the code must have none.

    Raises:
        Refusal: One of the command's `refusals`, in that order.
    """
    code, campaign = working_set.code(command.code_id), working_set.campaign(command.campaign_id)
    if code.campaign_id == campaign.campaign_id:
        return Decision(code.code_id)
    if code.is_revoked:
        raise CodeIsRevoked
    if campaign.ended_by is not None:
        raise CampaignHasEnded(why="issue")
    if code.campaign_id is not None:
        raise CodeNotJoinable("other_campaign")
    if code.reserved:
        raise CodeNotJoinable("reserved")
    if campaign.terms.group is not None and code.terms.group != campaign.terms.group:
        raise CodeNotJoinable("group")
    event = CodeJoinedCampaign(**event_stamp(command.context, code).fields, campaign_id=campaign.campaign_id)
    return Decision(code.code_id, [event])
