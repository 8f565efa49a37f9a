"""From the cells of one record to a code with its terms and what it has behind it; a cell that is wrong says how."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final

from msgspec import structs

from api.schemas.code_terms import TERMS, Term, TermFormat
from api.schemas.parsing import InvalidInputError, parse_term
from api.use_cases.issue_codes import CodeTemplate
from domain.events.code_terms import TERM_NAMES
from domain.values.identifiers import MalformedCodeError, normalize_code
from domain.values.number_bounds import USES_SO_FAR, Bounds, NumberError, parse_number
from domain.values.timestamps import TimestampError, parse_timestamp

NOTE_LENGTH_MAX: Final = 2_000
TERMS_KEPT_MAX: Final = 1_024
"""Different terms of a file that are remembered."""
SHOWN_LENGTH_MAX: Final = 40
"""Letters of a wrong cell that a message repeats."""
OPEN: Final = "open"
TERM_COLUMNS: Final = (*TERM_NAMES, OPEN)
"""Columns that say what every code of an issue has in common."""
YES_NO: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
COLUMNS: Final[Mapping[str, str]] = {
    "code": "the code; needed",
    **{term.name: f"{term.means}, or {term.none_word}" if term.none_word else term.means for term in TERMS},
    "open": "yes: not bound to the first person who redeems it",
    "used": "uses so far: they become an opening balance",
    "note": "stands in the code's history",
    "issued_at": "when it was issued elsewhere",
    "state": "as our own exports say it: paused stays paused, a revoked code is refused",
    "reserved": "as our own exports say it: uses that hang there have to be settled there first",
}
"""Ours, and what each holds."""
PASSED_OVER: Final = frozenset({"id", "available", "line", "why"})
"""Columns of our own files that say nothing about how a code is to be issued."""


class CellFaultError(ValueError):
    """A cell makes no sense. The message is a sentence without its place.

    Attributes:
        column: Ours.
    """

    def __init__(self, column: str, what: str) -> None:
        super().__init__(what)
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRow:
    """One code as a file has it; `text` is in normal form."""

    text: str
    template: CodeTemplate
    used: int = 0
    issued_at: datetime | None = None
    is_paused: bool = False
    note: str = ""

    @property
    def is_new(self) -> bool:
        """Whether it has nothing behind it."""
        return not (self.used or self.issued_at or self.is_paused or self.note)


def row_of(cells: Mapping[str, str], usual: CodeTemplate) -> CodeRow:
    """Read one record; a term that it leaves open is as usual.

    Args:
        cells: By our columns; what is not there or empty is left open.
        usual: CodeTemplate of codes whose record names none.

    Raises:
        CellFaultError: A cell makes no sense.
    """
    text = code_text(cells.get("code", ""))
    template, used = row_terms(cells, usual), used_uses(cells, usual)
    if _number("reserved", cells.get("reserved", "") or "0", USES_SO_FAR):
        raise CellFaultError(
            "reserved", "it has uses that are not settled where it comes from: settle them there first"
        )
    state = cells.get("state", "").lower()
    if state == "revoked":
        raise CellFaultError("state", "it was revoked where it comes from: leave it out")
    if len(note := cells.get("note", "")) > NOTE_LENGTH_MAX:
        raise CellFaultError("note", f"note is longer than {NOTE_LENGTH_MAX} letters")
    issued_at = cells.get("issued_at", "")
    return CodeRow(
        text=text,
        template=template,
        used=used,
        issued_at=_moment("issued_at", issued_at) if issued_at else None,
        is_paused=state == "paused",
        note=note,
    )


def code_text(typed: str) -> str:
    """A code in normal form.

    Raises:
        CellFaultError: It can't be one. The message does not repeat it: it may be somebody's code but for a letter.
    """
    if not typed:
        raise CellFaultError("code", "code is empty")
    try:
        return normalize_code(typed)
    except MalformedCodeError as error:
        raise CellFaultError("code", "code can't be one: 1 to 64 letters and digits") from error


def used_uses(cells: Mapping[str, str], usual: CodeTemplate) -> int:
    """The uses so far of one record; 0 where it names none.

    Raises:
        CellFaultError: It is no number, or above the limit.
    """
    used = _number("used", cells.get("used", "") or "0", USES_SO_FAR)
    limit = row_terms(cells, usual).terms.max_uses
    if limit is not None and used > limit:
        raise CellFaultError("used", f"used {used} is above max_uses {limit}: raise max_uses to {used} at least")
    return used


def row_terms(cells: Mapping[str, str], usual: CodeTemplate) -> CodeTemplate:
    """The terms of one record.

    Raises:
        CellFaultError: A cell makes no sense.
    """
    return _terms_of(tuple(cells.get(column, "") for column in TERM_COLUMNS), usual)


@lru_cache(maxsize=TERMS_KEPT_MAX)
def _terms_of(cells: tuple[str, ...], usual: CodeTemplate) -> CodeTemplate:
    """Read the cells of `TERM_COLUMNS`; most records of a file have those of the one before."""
    *texts, is_open = cells
    named = {term.name: _term(term, text) for term, text in zip(TERMS, texts, strict=True) if text}
    bound = _bound(OPEN, is_open) if is_open else usual.bound
    return replace(usual, terms=structs.replace(usual.terms, **named), bound=bound)


def _term(term: TermFormat, cell: str) -> Term:
    try:
        return parse_term(term, cell)
    except InvalidInputError as error:
        raise CellFaultError(term.name, f"{term.name} {_shown(cell)} {error.detail}") from error


def _bound(column: str, cell: str) -> bool:
    if cell.lower() not in YES_NO:
        raise CellFaultError(column, f"{column} {_shown(cell)} is neither yes nor no")
    return not YES_NO[cell.lower()]


def _moment(column: str, cell: str) -> datetime:
    try:
        return parse_timestamp(cell)
    except TimestampError as error:
        raise CellFaultError(column, f"{column} {_shown(cell)} {error}") from error


def _number(column: str, cell: str, bounds: Bounds) -> int:
    try:
        return parse_number(cell, bounds)
    except NumberError as error:
        raise CellFaultError(column, f"{column} {_shown(cell)} {error}") from error


def _shown(cell: str) -> str:
    return ascii(cell[:SHOWN_LENGTH_MAX])
