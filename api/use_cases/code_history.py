"""A code's balance and history as API and CLI show them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

from api.i18n.messages import say_event
from api.schemas.csv_cells import csv_line
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from projections.read_models.reader import Reader
from projections.read_models.stream_entry import Entry

LINE_COLUMNS: Final = (
    "position", "version", "type", "at", "recorded_at", "reservation_id", "used_count", "reserved", "available",
    "sentence",
)  # fmt: skip
"""Columns of an event in a history, in the order of a table."""


def history_of(
    reader: Reader,
    code_id: UUID,
    now: datetime,
    language: Language,
    *,
    as_of: datetime | None = None,
    after: int = 0,
    limit: int | None = None,
) -> dict[str, Any] | None:
    """Return the document of `ledger history --json` and of the history route; None if there was no such code.

    Args:
        reader: Where to read.
        code_id: The code.
        now: For the state word, unless `as_of` is given.
        language: Of the sentences.
        as_of: The time of the balance; None for now.
        after: Leave out events up to this version.
        limit: Most events to give.
    """
    lines = list(islice(reader.read_history(code_id, as_of=as_of, after=after), limit))
    last = lines[-1].state if lines else None
    if last is None:
        return None
    campaign_name = None if last.campaign_id is None else reader.find_campaign_name(code_id)
    return {
        "id": code_id,
        **balance_of(last),
        "state": last.state(as_of or now),
        "events": [line_of(line, language, campaign_name) for line in lines],
    }


def line_of(line: Entry[RedeemCode], language: Language, campaign_name: str | None = None) -> dict[str, Any]:
    """Return one event with the balance after it; without a name, its sentence names the code's campaign by its ID."""
    event = line.event
    balance = balance_of(line.state)
    del balance["max_uses"]
    return {
        "position": line.position,
        "version": line.version,
        "type": type(event).__name__,
        "at": event.at,
        "recorded_at": event.recorded_at or event.at,
        "reservation_id": event.named_reservation,
        **balance,
        "sentence": say_event(event, language, campaign_name),
    }


def csv_of_history(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a history's events as CSV lines with a header."""
    yield csv_line(LINE_COLUMNS)
    for line in document["events"]:
        yield csv_line(_cell(line[name]) for name in LINE_COLUMNS)


def _cell(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def balance_of(code: RedeemCode) -> dict[str, Any]:
    """Return the counts of a code."""
    return {
        "max_uses": code.terms.max_uses,
        "used_count": code.used,
        "reserved": code.reserved,
        "available": code.available,
    }
