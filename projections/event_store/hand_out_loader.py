"""Load hand-outs and handed-out codes for the commands about them; the caller holds the locks of their streams."""

from collections.abc import Callable, Iterable
from typing import Any, cast
from uuid import UUID

from psycopg import Cursor

from domain.commands.campaign.manage_campaign import CampaignCommand
from domain.commands.hand_out.manage_hand_out import ChangeHandOut, HandOutCommand
from domain.events.hand_out import HandOutChanged, HandOutCreated
from domain.model.hand_out import HandOut, HandOutText
from domain.ports import Language, PipelineSteps
from domain.working_set import WorkingSet
from projections.database.binary_arrays import UUIDS
from projections.database.pipeline import fetch_pipelined
from projections.event_store.codec import decode
from projections.sql.event_store import EventStoreSql

Send = Callable[..., Cursor[Any]]
"""Sends a statement with its parameters in pipeline mode."""


def load_hand_out(
    send: Send, working_set: WorkingSet, command: CampaignCommand | HandOutCommand
) -> PipelineSteps[None]:
    """Load the hand-out that a command is about, if it is about one; its texts, too, if the command changes it."""
    if not isinstance(command, HandOutCommand):
        return
    hand_out_id = command.hand_out_id
    rows = yield from fetch_pipelined(send(EventStoreSql.hand_out_of_id, hand_out_id))
    for campaign_id, state, topic, event in rows:
        working_set.hand_outs[hand_out_id] = HandOut(
            hand_out_id=hand_out_id, campaign_id=campaign_id, state=state, per_minute=read_rate(topic, event)
        )
    if isinstance(command, ChangeHandOut):
        cursor = send(EventStoreSql.texts_of_hand_outs, UUIDS.encode([hand_out_id]))
        texts = texts_by_hand_out((yield from fetch_pipelined(cursor)))
        working_set.hand_out_texts = texts.get(hand_out_id, {})


def read_rate(topic: str, event: bytes) -> int | None:
    """Return the rate in the stored event that created a hand-out or changed it."""
    return cast("HandOutCreated | HandOutChanged", decode(topic, bytes(event))).per_minute


def texts_by_hand_out(rows: Iterable[tuple[UUID, str, str, str]]) -> dict[UUID, dict[Language, HandOutText]]:
    """Return the own texts of hand-outs by language; empty ones, which are those of the ledger, are left out."""
    texts: dict[UUID, dict[Language, HandOutText]] = {}
    for hand_out_id, language, *text in rows:
        if any(text):
            texts.setdefault(hand_out_id, {})[cast("Language", language)] = HandOutText(*text)
    return texts
