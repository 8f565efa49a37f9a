"""Load hand-outs and handed-out codes for the commands about them; the caller holds the locks of their streams."""

from collections.abc import Callable, Sequence
from typing import Any

from psycopg import Cursor

from domain.command_bus import Command
from domain.commands.campaign.manage_campaign import CampaignCommand
from domain.commands.hand_out.hand_out_mail import HandOutMailCommand
from domain.commands.hand_out.manage_hand_out import HandOutCommand
from domain.model.hand_out import HandOut
from domain.ports import PipelineSteps
from domain.working_set import WorkingSet
from projections.database.binary_arrays import UUIDS
from projections.database.pipeline import fetch_pipelined
from projections.definitions.tables.handed_out_codes import PROJECTION as HANDED_OUT_CODES
from projections.sql.event_store import EventStoreSql

Send = Callable[..., Cursor[Any]]
"""Sends a statement with its parameters in pipeline mode."""


def load_hand_out(
    send: Send, working_set: WorkingSet, command: CampaignCommand | HandOutCommand
) -> PipelineSteps[None]:
    """Load the hand-out that a command is about, if it is about one."""
    if not isinstance(command, HandOutCommand):
        return
    hand_out_id = command.hand_out_id
    for campaign_id, state in (yield from fetch_pipelined(send(EventStoreSql.hand_out_of_id, hand_out_id))):
        working_set.hand_outs[hand_out_id] = HandOut(hand_out_id=hand_out_id, campaign_id=campaign_id, state=state)


def load_handed_out_codes(send: Send, working_set: WorkingSet, commands: Sequence[Command]) -> PipelineSteps[None]:
    """Load the handed-out codes that commands about their emails name."""
    code_ids = sorted({command.code_id for command in commands if isinstance(command, HandOutMailCommand)})
    if not code_ids:
        return
    cursor = send(HANDED_OUT_CODES.table.select("code_id = ANY(%s)"), UUIDS.encode(code_ids))
    for row in (yield from fetch_pipelined(cursor)):
        handed_out = HANDED_OUT_CODES.read_back(row)
        working_set.handed_out[handed_out.code_id] = handed_out
