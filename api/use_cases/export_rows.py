"""Exports of codes, reservations and statements, record by record, as CSV or JSON Lines.

CSV is safe to open in a spreadsheet (`csv_lines`); its words are those that an import reads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import orjson

from api.schemas.code_terms import NONE_WORDS, document_of_terms
from api.schemas.csv_cells import csv_line
from api.use_cases.code_history import line_of
from domain.events.code_terms import TERM_NAMES
from domain.model.redeem_code import RedeemCode
from domain.ports import Language
from domain.values.identifiers import format_code
from domain.values.limits.thresholds import name_listed
from projections.database.store_queries import ReadableStore
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.code_list import CodeListReader, CodeText
from projections.read_models.pagination import OLDEST
from projections.read_models.reservation_list import read_reservation_page, read_reservation_rows
from projections.read_models.stream_entry import Entry

Format = Literal["csv", "jsonl"]
SLICE: Final = 1_000
CODE_COLUMNS: Final = (
    *(
        "code",
        "id",
        "state",
        TERM_NAMES[0],
        "used",
        "reserved",
        "available",
        "open",
        *TERM_NAMES[1:],
        "issued_at",
        "campaign",
    ),
)
RESERVATION_COLUMNS: Final = (
    *("reservation_id", "code_id", "recipient_id", "email", "status", "kind", "reserved_at", "deadline"),
    *("attempts", "delivery", "ever_unknown", "case_id", "follows", "sent_at", "accepted_at"),
    *("refunded_at", "refund_cause"),
)
STATEMENT_COLUMNS: Final = (
    *("code_id", "version", "position", "at", "recorded_at", "type", "reservation_id"),
    *("used_count", "reserved", "available", "sentence"),
)
Row = Mapping[str, Any]


def lines_of(rows: Iterable[Row], columns: Sequence[str], form: Format) -> Iterator[bytes]:
    """Yield records as lines of a file, after a line of column names if the format has one."""
    if form == "csv":
        yield csv_line(columns).encode()
    yield from record_lines(rows, columns, form)


def record_lines(rows: Iterable[Row], columns: Sequence[str], form: Format) -> Iterator[bytes]:
    """Yield records as lines, a slice of them at a time."""
    lines: list[bytes] = []
    for row in rows:
        if form == "csv":
            lines.append(csv_line([_cell(name, row[name]) for name in columns]).encode())
        else:
            lines.append(orjson.dumps({name: row[name] for name in columns}, option=orjson.OPT_APPEND_NEWLINE))
        if len(lines) == SLICE:
            yield b"".join(lines)
            lines.clear()
    yield b"".join(lines)


def code_row(balance: Row, text: CodeText | None, now: datetime) -> Row:
    """Return a code as a record. `max_uses` None: without limit."""
    code = code_from_named_row(balance)
    return {
        "code": format_code(text.text) if text and text.text else "",
        "id": code.code_id,
        "state": code.state(now),
        "used": code.used,
        "reserved": code.reserved,
        "available": code.available,
        "open": not code.bound,
        **document_of_terms(code.terms),
        "issued_at": code.issued_at,
        "campaign": code.campaign_id,
    }


def code_rows(codes: CodeListReader, now: Callable[[], datetime], group: str | None, *, texts: bool) -> Iterator[Row]:
    """Yield all codes in order of issue, or those of a group.

    Args:
        codes: Where to read.
        now: For the state word.
        group: Only codes of this group.
        texts: Whether their texts are included in plain text; otherwise not even their suffix is.
    """
    place = OLDEST
    while rows := codes.list_balances(place, SLICE, group=group):
        texts_by_id = codes.find_texts([row["code_id"] for row in rows], clear=True) if texts else {}
        for row in rows:
            yield code_row(row, texts_by_id.get(row["code_id"]), now())
        place = (rows[-1]["issued_at"], rows[-1]["code_id"])


def reservation_rows(storage: ReadableStore, *, addresses: bool) -> Iterator[Row]:
    """Yield all reservations in the order in which they were made; with the email addresses on request."""
    place = OLDEST
    while entries := read_reservation_page(storage, place, SLICE):
        rows = read_reservation_rows(storage, [entry.reservation_id for entry in entries], addresses=addresses)
        yield from (rows[entry.reservation_id] for entry in entries if entry.reservation_id in rows)
        place = (entries[-1].reserved_at, entries[-1].reservation_id)


def statement_rows(lines: Iterator[Entry[RedeemCode]], language: Language) -> Iterator[Row]:
    """Yield the lines of every code's statement, each with the balance after it."""
    for line in lines:
        yield {"code_id": line.stream_id, **line_of(line, language)}


def _cell(name: str, value: object) -> object:
    """Return a value as CSV has it: times in ISO 8601, yes and no, lists as words, and the word for no limit."""
    if name == "max_uses" and value is None:
        return NONE_WORDS[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(name_listed(value)) if name == "notify_at" else " ".join(value)
    return value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value
