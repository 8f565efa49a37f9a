"""Rows of hand-outs as states, their rates and their texts."""

from collections.abc import Iterable
from datetime import datetime
from typing import cast
from uuid import UUID

from domain.events.hand_out import HandOutChanged, HandOutCreated
from domain.model.hand_out import HandOut, HandOutState, HandOutText
from domain.ports import Language
from projections.event_store.codec import decode


def read_rate(topic: str, event: bytes) -> int | None:
    """Return the rate in the stored event that created a hand-out or changed it."""
    return cast("HandOutCreated | HandOutChanged", decode(topic, bytes(event))).per_minute


def build_hand_out(
    hand_out_id: UUID, campaign_id: UUID, state: HandOutState, starts_at: datetime | None, per_minute: int | None
) -> HandOut:
    """Return a hand-out as its row has it."""
    return HandOut(
        hand_out_id=hand_out_id, campaign_id=campaign_id, state=state, per_minute=per_minute, starts_at=starts_at
    )


def texts_by_hand_out(rows: Iterable[tuple[UUID, str, str, str]]) -> dict[UUID, dict[Language, HandOutText]]:
    """Return the own texts of hand-outs by language; empty ones, which are those of the ledger, are left out."""
    texts: dict[UUID, dict[Language, HandOutText]] = {}
    for hand_out_id, language, *text in rows:
        if any(text):
            texts.setdefault(hand_out_id, {})[cast("Language", language)] = HandOutText(*text)
    return texts
