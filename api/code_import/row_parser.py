"""Reads the cells of one record as a code with its terms and its history; an invalid cell is rejected with a reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Final, TypeVar
from uuid import UUID

from msgspec import structs

from api.code_import.column_maps import find_column_map
from api.code_import.faults import InvalidCellError, RejectedRecordError, UnusableFileError
from api.code_import.file_reader import Layout, RenameColumn, shown
from api.schemas.code_terms import NONE_WORDS, TERMS
from api.schemas.parsing import InvalidInputError, parse_id, parse_number, parse_term, parse_time
from api.use_cases.issue_codes import CodeTemplate
from domain.events.code_terms import BLAMED_TERM, DOMAIN_TERMS, TERM_NAMES, Contradiction, find_contradictions
from domain.values.identifiers import MalformedCodeError, normalize_code
from domain.values.limits.thresholds import name_listed
from domain.values.number_bounds import USES_SO_FAR

T = TypeVar("T")

NOTE_LENGTH_MAX: Final = 2_000
TERMS_CACHED_MAX: Final = 1_024
"""Different terms of a file that are cached."""
OPEN: Final = "open"
TERM_COLUMNS: Final = (*TERM_NAMES, OPEN)
"""Columns that `CodeTemplate` holds."""
YES_NO: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
CONTRADICTIONS: Final[dict[Contradiction, str]] = {
    "starts_after_end": "starts_at is not before expires_at, so the code could never be redeemed",
    "domains_overlap": "denied_domains names a domain of allowed_domains, or all its subdomains: remove it from one",
}
"""What is wrong with terms that contradict each other."""
COLUMNS: Final = ("code", *TERM_COLUMNS, "used", "note", "issued_at", "state", "reserved", "campaign")
"""The names of columns. The catalogs say what each holds, for the import page and docs/how-to/import-codes.md."""
IGNORED_COLUMNS: Final = frozenset({"id", "available", "line", "why"})
"""Columns of exports and rejects files that do not matter for issuing a code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRow:
    """One code as a record describes it; `text` is in normal form."""

    text: str
    template: CodeTemplate
    used: int = 0
    issued_at: datetime | None = None
    is_paused: bool = False
    note: str = ""

    @property
    def is_new(self) -> bool:
        """Whether the code has no history."""
        return not (self.used or self.issued_at or self.is_paused or self.note)


def parse_row(cells: Mapping[str, str], default: CodeTemplate) -> CodeRow:
    """Read one record.

    Args:
        cells: By column; missing and empty cells take the default's value.
        default: What codes have whose record does not say otherwise.

    Raises:
        InvalidCellError: A cell is invalid.
    """
    text = parse_code(cells.get("code", ""))
    template = _parse_template(tuple(cells.get(column, "") for column in TERM_COLUMNS), default)
    if campaign := cells.get("campaign", ""):
        template = replace(template, campaign_id=_parse_campaign(campaign, default.campaign_id))
    used = _parse_used(cells.get("used", ""), template.terms.max_uses)
    if _parse_uses("reserved", cells.get("reserved", "")):
        raise InvalidCellError(
            "reserved", "the code has pending uses in the ledger that exported it: settle them there first"
        )
    state = cells.get("state", "").lower()
    if state == "revoked":
        raise InvalidCellError("state", "the code was revoked in the ledger that exported it: remove the line")
    if len(note := cells.get("note", "")) > NOTE_LENGTH_MAX:
        raise InvalidCellError("note", f"note is longer than {NOTE_LENGTH_MAX} characters")
    issued_at = cells.get("issued_at", "")
    return CodeRow(
        text=text,
        template=template,
        used=used,
        issued_at=_parse_cell(partial(parse_time, "issued_at"), "issued_at", issued_at) if issued_at else None,
        is_paused=state == "paused",
        note=note,
    )


def parse_code(typed: str) -> str:
    """Return a code in normal form.

    Raises:
        InvalidCellError: The text cannot be a code. The message does not repeat it, since it may be a mistyped code.
    """
    if not typed:
        raise InvalidCellError("code", "code is empty")
    try:
        return normalize_code(typed)
    except MalformedCodeError as error:
        raise InvalidCellError("code", "code is not valid: write 1 to 64 letters and digits") from error


def _parse_used(cell: str, limit: int | None) -> int:
    used = _parse_uses("used", cell)
    if limit is not None and used > limit:
        raise InvalidCellError("used", f"used {used} is above max_uses {limit}: raise max_uses to at least {used}")
    return used


# Most records of a file have the terms of the record before.
@lru_cache(maxsize=TERMS_CACHED_MAX)
def _parse_template(cells: tuple[str, ...], default: CodeTemplate) -> CodeTemplate:
    """Read the cells of `TERM_COLUMNS`.

    Raises:
        InvalidCellError: A cell is invalid, or two of them contradict each other.
    """
    *texts, is_open = cells
    named = {
        term.name: _parse_cell(partial(parse_term, term), term.name, text)
        for term, text in zip(TERMS, texts, strict=True)
        if text
    }
    bound = _bound(OPEN, is_open) if is_open else default.bound
    terms = structs.replace(default.terms, **named)
    for why in find_contradictions(terms):
        raise InvalidCellError(BLAMED_TERM[why], CONTRADICTIONS[why])
    return replace(default, terms=terms, bound=bound)


def _parse_campaign(cell: str, common_id: UUID | None) -> UUID:
    campaign_id = _parse_cell(partial(parse_id, "campaign"), "campaign", cell)
    if common_id not in {None, campaign_id}:
        raise InvalidCellError("campaign", "campaign is not the one that the import names: remove the cell")
    return campaign_id


def _parse_cell(parse: Callable[[str], T], column: str, cell: str) -> T:
    try:
        return parse(cell)
    except InvalidInputError as error:
        raise InvalidCellError(column, f"{column} {shown(cell)} {error.detail}") from error


def _parse_uses(column: str, cell: str) -> int:
    return _parse_cell(partial(parse_number, column, bounds=USES_SO_FAR), column, cell or "0")


def _bound(column: str, cell: str) -> bool:
    if cell.lower() not in YES_NO:
        raise InvalidCellError(column, f"{column} {shown(cell)} is neither yes nor no")
    return not YES_NO[cell.lower()]


def _read_object(document: object, rename: RenameColumn) -> Mapping[str, str]:
    if not isinstance(document, dict):
        raise RejectedRecordError("json", 'the line is not a JSON object such as {"code":"ABC-123","max_uses":5}')
    cells: dict[str, str] = {}
    for theirs, value in document.items():
        try:
            name = rename(theirs)
        except UnusableFileError as error:
            raise RejectedRecordError("json", str(error), theirs) from error
        if name in cells:
            raise RejectedRecordError("json", f"the line has {name} twice", name)
        if name:
            cells[name] = _json_cell(name, value)
    return cells


def _json_cell(name: str, value: object) -> str:
    if value is None:
        return NONE_WORDS[name] if name == "max_uses" else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value.strip()
    if name in DOMAIN_TERMS and isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return " ".join(value)
    if name == "notify_at" and isinstance(value, list):
        return ", ".join(name_listed(value))
    raise InvalidCellError(name, f"{name} is neither text nor a whole number")


CODE_FILE: Final = Layout(
    required="code",
    example="code,max_uses,used",
    missing="map the one that holds the codes with --map COLUMN=code",
    read_object=_read_object,
    columns=COLUMNS,
    ignored=IGNORED_COLUMNS,
    find_map=find_column_map,
    can_rename=True,
)
"""The columns of a file of codes."""
