"""Reads the list of a hand-out: CSV with a line of column names, JSON Lines, or objects of a JSON document.

The columns `email`, `language`, `count` and `code` have a meaning; every other column is a variable, a value that the
text of the email names. Memory holds one line at a time. A code is a secret: no message names it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from api.code_import.faults import RejectedRecordError
from api.code_import.file_reader import Layout, Record, RenameColumn, shown
from api.i18n.languages import LANGUAGES, find_language
from api.schemas.csv_cells import FORMULA
from api.schemas.parsing import InvalidInputError, parse_email, parse_number
from domain.ports import Language
from domain.values.number_bounds import LINE_CODES
from domain.values.text_variables import VARIABLE_NAME
from projections.hand_outs.hand_out_lists import ListRow

EMAIL: Final = "email"
LANGUAGE: Final = "language"
VARIABLES: Final = "variables"
CODE: Final = "code"
COUNT: Final = "count"
COLUMNS: Final = frozenset({EMAIL, LANGUAGE, CODE, COUNT})
"""Columns that are no variables."""
VARIABLES_MAX: Final = 20
VARIABLE_LENGTH_MAX: Final = 200
RESERVED: Final = frozenset({"group", CODE, "link"})
"""Names that texts of emails give another meaning."""
_NUMBER: Final = re.compile(r"[+-][0-9][0-9 ()./-]*")
"""A number or a phone number, which a spreadsheet shows as such."""


def parse_recipient(record: Record, default: Language) -> ListRow:
    """Read one recipient. A language that is missing or empty is the default; an empty variable stays one.

    Args:
        record: A line or an object.
        default: The language of a recipient without one.

    Raises:
        RejectedRecordError: The line cannot be read, or a cell is not valid.
    """
    if record.error is not None:
        raise record.error
    cells = record.cells
    if cells.get(EMAIL, "").startswith(FORMULA):
        why = "email begins with =, +, - or @, which a spreadsheet takes for a formula"
        raise RejectedRecordError("formula", why, EMAIL, name=EMAIL)
    try:
        address = parse_email(cells.get(EMAIL, ""))
    except InvalidInputError as error:
        raise RejectedRecordError("email", f"email {error.detail}", EMAIL) from error
    name = cells.get(LANGUAGE, "").lower()
    language = find_language(name) if name else default
    if language is None:
        names = " nor ".join(sorted(LANGUAGES))
        raise RejectedRecordError("language", f"language {shown(name)} is neither {names}", LANGUAGE)
    variables = {name: cell for name, cell in cells.items() if name not in COLUMNS}
    for variable, value in variables.items():
        _check_value(variable, value)
    return ListRow(address, language, variables, cells.get(CODE) or None, _parse_count(cells.get(COUNT, "")))


def _parse_count(cell: str) -> int:
    """Return how many codes a recipient gets; one if the cell is empty."""
    try:
        return parse_number(COUNT, cell, LINE_CODES) if cell else 1
    except InvalidInputError as error:
        raise RejectedRecordError("count", f"count {error.detail}", COUNT, **LINE_CODES._asdict()) from error


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not VARIABLE_NAME.fullmatch(name) or name in RESERVED:
            raise RejectedRecordError(
                "variable_name",
                f"{shown(name)} cannot name a variable: write a to z, 0 to 9 and _,"
                f" at most 40 characters, and not {', '.join(sorted(RESERVED))}",
            )
    if len(names) > VARIABLES_MAX:
        raise RejectedRecordError(
            "variables", f"there are {len(names)} variables, and at most {VARIABLES_MAX} are possible"
        )


def _check_columns(names: Sequence[str]) -> None:
    _check_names([name for name in names if name not in COLUMNS])


def _check_value(name: str, value: str) -> None:
    if len(value) > VARIABLE_LENGTH_MAX:
        raise RejectedRecordError(
            "too_long", f"{name} is longer than {VARIABLE_LENGTH_MAX} characters", name, name=name
        )
    if not value.isprintable():
        raise RejectedRecordError("not_a_line", f"{name} is not one printable line", name, name=name)
    if value.startswith(FORMULA) and not _NUMBER.fullmatch(value):
        why = f"{name} {shown(value)} is a formula: write a text that is none"
        raise RejectedRecordError("formula", why, name, name=name)


def _read_object(document: object, rename: RenameColumn) -> Mapping[str, str]:
    """Return the cells of an object; variables are its other members, or those of its member `variables`."""
    del rename
    if not isinstance(document, dict):
        raise RejectedRecordError("not_an_object", 'this is not a JSON object such as {"email":"li.wei@example.com"}')
    nested = document.get(VARIABLES)
    members = {name: value for name, value in document.items() if name != VARIABLES}
    if nested is not None:
        if not isinstance(nested, dict):
            raise RejectedRecordError("no_variables", "variables is not a JSON object")
        _check_names(list(nested))
        if both := members.keys() & nested.keys() | {EMAIL, LANGUAGE, COUNT} & nested.keys():
            raise RejectedRecordError("twice", f"{shown(', '.join(sorted(both)))} is given twice")
        members |= nested
    cells = {name: _cell(name, value) for name, value in members.items()}
    _check_columns(list(cells))
    return cells


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RejectedRecordError("not_a_text", f"{shown(name)} is neither text nor a whole number", name)


RECIPIENT_FILE: Final = Layout(
    required=EMAIL,
    example="email,language,name",
    missing="rename the one that holds the addresses",
    read_object=_read_object,
    check_names=_check_columns,
)
"""The columns of a list."""
