"""Reads the list of a hand-out: CSV with a line of column names, JSON Lines, or objects of a JSON document.

The columns `email`, `language` and `code` have a meaning; every other column is a variable, a value that the text of
the email names. Memory holds one line at a time. A code is a secret: no message names it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, Literal, NamedTuple, Protocol

from api.code_import.file_reader import (
    SEPARATORS,
    Format,
    UnusableFileError,
    decode_line,
    parse_json_line,
    read_lines,
    split_cells,
)
from api.code_import.row_parser import SHOWN_LENGTH_MAX, RejectedRecordError
from api.i18n.languages import LANGUAGES, find_language
from api.schemas.csv_cells import FORMULA, without_mark
from api.schemas.json_members import RepeatedMemberError
from api.schemas.parsing import InvalidInputError, parse_email
from domain.ports import Language
from domain.values.text_variables import VARIABLE_NAME
from projections.hand_outs.hand_out_lists import ListRow

EMAIL: Final = "email"
LANGUAGE: Final = "language"
VARIABLES: Final = "variables"
CODE: Final = "code"
COLUMNS: Final = frozenset({EMAIL, LANGUAGE, CODE})
"""Columns that are no variables."""
VARIABLES_MAX: Final = 20
VARIABLE_LENGTH_MAX: Final = 200
RESERVED: Final = frozenset({"group", CODE, "link"})
"""Names that texts of emails give another meaning."""
CellProblem = Literal["email", "language", "variable_name", "variables", "too_long", "not_a_line", "formula"]
ObjectProblem = Literal["json", "not_an_object", "no_variables", "twice", "not_a_text"]
CodeProblem = Literal[
    "code_column",
    "code_missing",
    "code_repeated",
    "code_unknown",
    "code_handed_out",
    "code_campaign",
    "code_over",
    "code_paused",
    "code_group",
    "code_used",
]
ListProblem = Literal[CellProblem, ObjectProblem, CodeProblem, "domain", "too_many", "repeated", "listed"]
"""What can be wrong with a line of a list, in addition to what can be wrong with a record of any file."""
_NUMBER: Final = re.compile(r"[+-][0-9][0-9 ()./-]*")
"""A number or a phone number, which a spreadsheet shows as such."""


class RecipientFault(NamedTuple):
    """Why a line is not valid.

    Attributes:
        reason: A stable word, which names the text of the page.
        why: The English sentence of command line and API.
        facts: What the text of the page names. Never a value of the line, which may be about a person.
    """

    reason: str
    why: str
    facts: Mapping[str, str | int]

    @classmethod
    def of(cls, error: RejectedRecordError) -> "RecipientFault":
        """Return the fault that an error stands for."""
        return cls(error.reason, str(error), error.facts if isinstance(error, RejectedRecipientError) else {})


class ListLine(NamedTuple):
    """One line of a list: its number from 1, and its recipient or what is wrong."""

    line: int
    row: ListRow | None
    fault: RecipientFault | None = None


class RejectedRecipientError(RejectedRecordError):
    """A record is not a valid recipient. The message is an English sentence that leaves out the line."""

    def __init__(self, problem: ListProblem, detail: str, **facts: str | int) -> None:
        ValueError.__init__(self, detail)
        self.reason = problem
        self.facts = facts


class RecipientSource(Protocol):
    """A list that can be read several times."""

    def __iter__(self) -> Iterator[ListLine]:
        """Yield every line."""


class RecipientFile:
    """A file with a list.

    Args:
        file: Open for reading bytes, seekable.
        form: Its format.
        language: Of recipients whose line names none.

    Raises:
        UnusableFileError: The file is empty, or its columns are not valid.
    """

    def __init__(self, file: BinaryIO, form: Format, language: Language) -> None:
        self._file, self._form, self._language = file, form, language
        self._separator, self._names = ",", list[str]()
        if form == "csv":
            self._read_header()

    def __iter__(self) -> Iterator[ListLine]:
        """Yield every line; empty ones are skipped."""
        self._file.seek(0)
        lines = read_lines(self._file)
        if self._form == "csv":
            next(lines, None)
        for line, raw in lines:
            if raw.strip():
                yield self._parse(line, raw)

    def _parse(self, line: int, raw: bytes) -> ListLine:
        try:
            text = decode_line(raw)
            cells = self._csv_cells(text) if self._form == "csv" else _json_cells(text)
            return ListLine(line, parse_recipient(cells, self._language))
        except RejectedRecordError as error:
            return ListLine(line, None, RecipientFault.of(error))

    def _read_header(self) -> None:
        self._file.seek(0)
        _, raw = next(read_lines(self._file), (1, b""))
        if not raw.strip():
            raise UnusableFileError("empty", "line 1 is empty: it must name the columns, such as email,language,name")
        try:
            header = decode_line(raw).strip()
            self._separator = max(SEPARATORS, key=header.count)
            self._names = [name.strip().lower() for name in split_cells(header, self._separator)]
        except RejectedRecordError as error:
            raise UnusableFileError("csv", f"line 1, the names of the columns: {error}") from error
        if EMAIL not in self._names:
            raise UnusableFileError("columns", "no column is named email: rename the one that holds the addresses")
        twice = next((name for name in self._names if self._names.count(name) > 1), None)
        if twice is not None:
            raise UnusableFileError("columns", f"two columns are named {twice[:SHOWN_LENGTH_MAX]!a}: remove one")
        try:
            _check_names([name for name in self._names if name not in COLUMNS])
        except RejectedRecipientError as error:
            raise UnusableFileError("columns", f"line 1: {error}") from error

    def _csv_cells(self, text: str) -> Mapping[str, str]:
        cells = split_cells(text, self._separator)
        if len(cells) > len(self._names):
            raise RejectedRecordError(
                "columns", f"the line has {len(cells)} cells, but line 1 names {len(self._names)} columns"
            )
        return {name: without_mark(cell.strip()) for name, cell in zip(self._names, cells, strict=False)}


class RecipientObjects:
    """A list of JSON objects, counted from 1."""

    def __init__(self, objects: Sequence[Any], language: Language) -> None:
        self._objects, self._language = objects, language

    def __iter__(self) -> Iterator[ListLine]:
        """Yield every object."""
        for number, document in enumerate(self._objects, start=1):
            try:
                yield ListLine(number, parse_recipient(_cells_of(document), self._language))
            except RejectedRecordError as error:
                yield ListLine(number, None, RecipientFault.of(error))


def parse_recipient(cells: Mapping[str, str], default: Language) -> ListRow:
    """Read one recipient.

    Args:
        cells: By column; missing and empty ones take the default, or are no variable.
        default: The language of a recipient without one.

    Raises:
        RejectedRecipientError: A cell is not valid.
    """
    if cells.get(EMAIL, "").startswith(FORMULA):
        why = "email begins with =, +, - or @, which a spreadsheet takes for a formula"
        raise RejectedRecipientError("formula", why, name=EMAIL)
    try:
        address = parse_email(cells.get(EMAIL, ""))
    except InvalidInputError as error:
        raise RejectedRecipientError("email", f"email {error.detail}") from error
    name = cells.get(LANGUAGE, "").lower()
    language = find_language(name) if name else default
    if language is None:
        names = " nor ".join(sorted(LANGUAGES))
        raise RejectedRecipientError("language", f"language {name[:SHOWN_LENGTH_MAX]!a} is neither {names}")
    variables = {name: cell for name, cell in cells.items() if cell and name not in COLUMNS}
    for variable, value in variables.items():
        _check_value(variable, value)
    return ListRow(address, language, variables, cells.get(CODE) or None)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not VARIABLE_NAME.fullmatch(name) or name in RESERVED:
            raise RejectedRecipientError(
                "variable_name",
                f"{name[:SHOWN_LENGTH_MAX]!a} cannot name a variable: write a to z, 0 to 9 and _,"
                f" at most 40 characters, and not {', '.join(sorted(RESERVED))}",
            )
    if len(names) > VARIABLES_MAX:
        raise RejectedRecipientError(
            "variables", f"there are {len(names)} variables, and at most {VARIABLES_MAX} are possible"
        )


def _check_value(name: str, value: str) -> None:
    if len(value) > VARIABLE_LENGTH_MAX:
        raise RejectedRecipientError("too_long", f"{name} is longer than {VARIABLE_LENGTH_MAX} characters", name=name)
    if not value.isprintable():
        raise RejectedRecipientError("not_a_line", f"{name} is not one printable line", name=name)
    if value.startswith(FORMULA) and not _NUMBER.fullmatch(value):
        why = f"{name} {value[:SHOWN_LENGTH_MAX]!a} is a formula: write a text that is none"
        raise RejectedRecipientError("formula", why, name=name)


def _json_cells(text: str) -> Mapping[str, str]:
    try:
        return _cells_of(parse_json_line(text))
    except RejectedRecordError as error:
        if isinstance(error.__cause__, RepeatedMemberError):
            raise RejectedRecipientError("twice", str(error)) from error
        raise


def _cells_of(document: object) -> Mapping[str, str]:
    """Return the cells of an object; variables are its other members, or those of its member `variables`."""
    if not isinstance(document, dict):
        raise RejectedRecipientError(
            "not_an_object", 'this is not a JSON object such as {"email":"li.wei@example.com"}'
        )
    nested = document.get(VARIABLES)
    members = {name: value for name, value in document.items() if name != VARIABLES}
    if nested is not None:
        if not isinstance(nested, dict):
            raise RejectedRecipientError("no_variables", "variables is not a JSON object")
        _check_names(list(nested))
        if both := members.keys() & nested.keys() | {EMAIL, LANGUAGE} & nested.keys():
            raise RejectedRecipientError("twice", f"{', '.join(sorted(both))[:SHOWN_LENGTH_MAX]!a} is given twice")
        members |= nested
    cells = {name: _cell(name, value) for name, value in members.items()}
    _check_names([name for name in cells if name not in COLUMNS])
    return cells


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RejectedRecipientError("not_a_text", f"{name[:SHOWN_LENGTH_MAX]!a} is neither text nor a whole number")
