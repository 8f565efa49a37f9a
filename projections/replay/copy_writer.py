"""Rows as binary COPY takes them: each the number of its columns, then a length and bytes for each value."""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from projections.database.binary_arrays import BIGS, INTEGERS, SMALLS, TEXTS, ArrayType
from projections.database.table_arrays import ARRAY_OF_INT8

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
CACHED_VALUES_MAX: Final = 1_024
"""Texts and small numbers whose bytes are kept: words such as `sent`, counts such as 1."""

_NULL = b"\xff\xff\xff\xff"
_PACK_COUNT = struct.Struct(">h").pack
_ARRAY_HEAD = struct.Struct(">iiiIii").pack

Write = Callable[[Any], bytes]
EncodeRow = Callable[[Sequence[Any]], bytes]


def binary_row_encoder(kinds: Sequence[ArrayType], column_types: Sequence[int]) -> EncodeRow | None:
    """Return what encodes rows of these kinds for columns of these types (OIDs); None if they do not fit."""
    if len(kinds) != len(column_types):
        return None
    value_writers = [_value_writer(kind, column) for kind, column in zip(kinds, column_types, strict=True)]
    writers = [write for write in value_writers if write is not None]
    if len(writers) < len(kinds):
        return None
    count = _PACK_COUNT(len(writers))

    def encode_row(row: Sequence[Any]) -> bytes:
        parts = [_NULL if value is None else write(value) for write, value in zip(writers, row, strict=True)]
        return count + b"".join(parts)

    return encode_row


def _value_writer(kind: ArrayType, column_type: int) -> Write | None:
    if kind is ARRAY_OF_INT8 and column_type == BIGS.array_oid:
        return _bigint_array
    if kind.item_oid != column_type:
        return None
    return lru_cache(CACHED_VALUES_MAX)(kind.write) if kind in (TEXTS, SMALLS, INTEGERS) else kind.write


def _bigint_array(values: Sequence[int]) -> bytes:
    return _array_head(len(values)) + b"".join(map(BIGS.write, values))


@lru_cache(CACHED_VALUES_MAX)
def _array_head(count: int) -> bytes:
    """Length of the whole; one dimension, no nulls, the items' type, how many, the first index."""
    if not count:
        return _ARRAY_HEAD(12, 0, 0, BIGS.item_oid, 0, 0)[:16]
    return _ARRAY_HEAD(20 + 12 * count, 1, 0, BIGS.item_oid, count, 1)
