"""The columns that hold the terms of codes, in every table that has them; they follow from `CodeTerms`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec.structs import asdict, fields

from domain.events.code_terms import BOUNDS, CodeTerms
from domain.values.email_domains import DomainNames
from domain.values.limits.thresholds import Thresholds
from domain.values.persons.mailboxes import PersonRule
from domain.values.persons.throwaway_domains import ThrowawayRule

_COLUMN_OF: Final = {"group": "group_name"}
"""Terms whose column has another name."""
_TYPES: Final[Mapping[object, str]] = {
    datetime | None: "timestamptz",
    **dict.fromkeys(
        (str | None, DomainNames | None, PersonRule | None, ThrowawayRule | None, Thresholds | None), "text"
    ),
}
"""The type of a column, by that of the term; numbers have theirs from their bounds."""
_INTEGER_MAX: Final = 2**31 - 1


def find_column_type(name: str, kind: object) -> str:
    """Return the type of the column of a term.

    Raises:
        TypeError: The type of the term has none. A text would be read back as another value.
    """
    if kind == int | None:
        return "bigint" if BOUNDS[name].most > _INTEGER_MAX else "integer"
    if kind not in _TYPES:
        raise TypeError(f"projections/sql/term_columns.py: _TYPES has no type of a column for {name}, a {kind}")
    return _TYPES[kind]


COLUMN_OF_TERM: Final = {field.name: _COLUMN_OF.get(field.name, field.name) for field in fields(CodeTerms)}
"""The column of each term, in the order of `CodeTerms`."""
TERM_COLUMNS: Final = {
    COLUMN_OF_TERM[field.name]: find_column_type(field.name, field.type) for field in fields(CodeTerms)
}
"""The type of each column."""


def term_values(terms: CodeTerms) -> dict[str, Any]:
    """Return the values of terms by the names of their columns."""
    return {COLUMN_OF_TERM[name]: value for name, value in asdict(terms).items()}


def read_terms(row: Mapping[str, Any]) -> CodeTerms:
    """Return the terms that a row holds, from its values by the names of their columns."""
    return CodeTerms(**{name: row[column] for name, column in COLUMN_OF_TERM.items()})
