"""Rows of hand-outs as states: their rates and their texts."""

from collections.abc import Iterable
from typing import cast
from uuid import UUID

from domain.events.hand_out import HandOutChanged, HandOutCreated
from domain.model.hand_out import HandOutText
from domain.ports import Language
from projections.event_store.codec import decode


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
