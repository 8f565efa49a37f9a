"""`code_balances`: one row for each code, with its terms and counts."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from operator import attrgetter
from types import NoneType
from typing import Any, Final, get_args
from uuid import UUID

from msgspec import structs

from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.model.redeem_code import RedeemCode
from projections.definitions.projection import EventPlace, Row, StateProjection
from projections.sql.table import Table
from projections.sql.term_columns import COLUMN_OF_TERM, TERM_COLUMNS

_TYPES: Final = {int: "bigint", bool: "boolean", str: "text", UUID: "uuid", datetime: "timestamptz", date: "date"}


def _type_of(annotation: Any) -> str:  # noqa: ANN401 - a type, or a union of one with None
    """Return the type of the column of a field."""
    (kind,) = {*(get_args(annotation) or (annotation,))} - {NoneType}
    return _TYPES[kind]


_FIELD_COLUMNS: Final = {
    field.name: _type_of(field.type) for field in structs.fields(RedeemCode) if field.name != "terms"
}
"""A column for each field of a code besides its terms."""
_DERIVED: Final = {"next_report_at": "timestamptz"}
"""The last column, which follows from the others: the sweep looks for it."""

TABLE: Final = Table(
    "code_balances",
    key=("code_id",),
    columns={
        "code_id": "uuid",
        "version": "bigint",
        "issued_at": "timestamptz",
        "last_at": "timestamptz",
        "max_uses": "bigint",
        "used": "bigint",
        "reserved": "bigint",
        "bound": "boolean",
        "owner_id": "uuid",
        "sent_binding": "bigint",
        "expires_at": "timestamptz",
        "validity_days": "integer",
        "group_name": "text",
        "is_paused": "boolean",
        "revoked_by": "bigint",
        "rebinds_max": "integer",
        "bound_to": "uuid",
    }
    # Columns of new terms and fields follow.
    | TERM_COLUMNS
    | _FIELD_COLUMNS
    | _DERIVED,
    fixed=("issued_at",),
)
_TERM_OF: Final = {column: name for name, column in COLUMN_OF_TERM.items()}
_FIELDS: Final = tuple(_TERM_OF.get(column, column) for column in TABLE.columns)
"""The field or term of a code that each column holds."""
_TERM_POSITIONS: Final = tuple(_FIELDS.index(name) for name in TERM_NAMES)
_FIELD_POSITIONS: Final = tuple((n, name) for n, name in enumerate(_FIELDS) if name not in {*TERM_NAMES, *_DERIVED})
_read_fields: Callable[[RedeemCode], Row] = attrgetter(
    *(f"terms.{name}" if name in TERM_NAMES else name for name in _FIELDS if name not in _DERIVED)
)
if {*_FIELDS} - {*_DERIVED} != {*TERM_NAMES, *RedeemCode.__struct_fields__} - {"terms"}:
    raise AssertionError("code_balances must hold every field and term of a code, so that the code can be read back")


class CodeBalances(StateProjection):
    """One row for each code."""

    table = TABLE
    state = RedeemCode

    def row(self, state: RedeemCode) -> Row:
        """Return the row of a code."""
        return (*_read_fields(state), state.next_report_at)

    def explain(self, row: Mapping[str, Any]) -> EventPlace:
        """Return the event of the row's version."""
        return UUID(row["code_id"]), row["version"]

    def read_back(self, row: Sequence[Any]) -> RedeemCode:
        """Return the code that a row was made of, from the values in the order of its columns."""
        terms = CodeTerms(*(row[position] for position in _TERM_POSITIONS))
        return RedeemCode(terms=terms, **{name: row[position] for position, name in _FIELD_POSITIONS})


PROJECTION: Final = CodeBalances()


def code_from_named_row(row: Mapping[str, Any]) -> RedeemCode:
    """Return the code of a row of `code_balances`, from the values by the names of its columns."""
    return PROJECTION.read_back([row[column] for column in TABLE.columns])
