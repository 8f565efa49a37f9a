"""Rows of a declared table as binary arrays, one for each column."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from projections.database.binary_arrays import (
    BIGS,
    BOOLEANS,
    BYTEAS,
    DATES,
    INTEGERS,
    SMALLS,
    TEXTS,
    TIMESTAMPS,
    UUIDS,
    Array,
    ArrayType,
    to_columns,
)
from projections.sql.table import Table


def _array_literal(values: Iterable[object]) -> bytes:
    """Write an array as text such as {1,2}: unnest takes nested arrays apart, so the statement casts this instead."""
    return TEXTS.write("{" + ",".join(map(str, values)) + "}")


ARRAY_OF_INT8: Final = ArrayType(TEXTS.item_oid, TEXTS.array_oid, _array_literal)
ARRAY_OF_UUID: Final = ArrayType(TEXTS.item_oid, TEXTS.array_oid, _array_literal)
KIND_OF_TYPE: Final[Mapping[str, ArrayType]] = {
    "uuid": UUIDS,
    "bytea": BYTEAS,
    "text": TEXTS,
    "smallint": SMALLS,
    "integer": INTEGERS,
    "bigint": BIGS,
    "boolean": BOOLEANS,
    "date": DATES,
    "timestamptz": TIMESTAMPS,
    "bigint[]": ARRAY_OF_INT8,
    "uuid[]": ARRAY_OF_UUID,
}


@cache
def kinds_of(table: Table) -> tuple[ArrayType, ...]:
    """Return how each column's values are written.

    Raises:
        KeyError: A column is of a type that has no kind.
    """
    return tuple(KIND_OF_TYPE[kind] for kind in table.columns.values())


def encode_rows(table: Table, rows: Iterable[Sequence[Any]]) -> list[Array]:
    """Return one array for each column, as the table's statements take them.

    Args:
        table: Declares the columns.
        rows: At least one, with a value for each column.

    Raises:
        ValueError: A row is longer or shorter.
    """
    return to_columns(kinds_of(table), rows)
