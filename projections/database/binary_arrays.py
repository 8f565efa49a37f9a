"""Columns of rows as PostgreSQL's binary arrays, the form in which unnest takes a whole batch.

psycopg writes lists as text and escapes each element with regular expressions: half of the CPU of a redeem was spent
there. Here an item is a length and its bytes (PostgreSQL's `array_send`), and the server parses no text either.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEADER = struct.Struct(">iiIii").pack
_LENGTH = struct.Struct(">i").pack
_SMALL = struct.Struct(">ih").pack
_INTEGER = struct.Struct(">ii").pack
_DAY_ZERO = date(2000, 1, 1).toordinal()
_BIG = struct.Struct(">iq").pack
_UUID_LENGTH = _LENGTH(16)
_TRUE, _FALSE = _LENGTH(1) + b"\x01", _LENGTH(1) + b"\x00"


def _uuid(value: UUID) -> bytes:
    # As UUID.bytes does it, without that property's call: a redeem writes a dozen of them.
    return _UUID_LENGTH + value.int.to_bytes(16, "big")


def _bytea(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _text(value: str) -> bytes:
    return _bytea(value.encode())


def _timestamp(value: datetime) -> bytes:
    """Return microseconds since 2000 as a whole number; a float would lose some."""
    return _BIG(8, (value - _EPOCH) // _MICROSECOND)


class ArrayType(NamedTuple):
    """A column type: the OIDs of its elements and of an array of them, and how one element is written."""

    item_oid: int
    array_oid: int
    write: Callable[[Any], bytes]

    def encode(self, values: Sequence[Any]) -> "Array":
        """Encode the values of one column; None stands for NULL."""
        if not values:
            return _ARRAYS[self.array_oid](_HEADER(0, 0, self.item_oid, 0, 0)[:12])
        first, length = values[0], len(values)
        # Half of the columns of a batch hold one value; to find that out costs less than to write two.
        if first == values[-1] and values.count(first) == length:
            has_nulls = first is None
            items = (_NULL if first is None else self.write(first)) * length
        elif has_nulls := None in values:
            write = self.write
            items = b"".join([_NULL if value is None else write(value) for value in values])
        else:
            items = b"".join(map(self.write, values))
        return _ARRAYS[self.array_oid](_HEADER(1, int(has_nulls), self.item_oid, length, 1) + items)


UUIDS = ArrayType(2950, 2951, _uuid)
BYTEAS = ArrayType(17, 1001, _bytea)
TEXTS = ArrayType(25, 1009, _text)
SMALLS = ArrayType(21, 1005, lambda value: _SMALL(2, value))
INTEGERS = ArrayType(23, 1007, lambda value: _INTEGER(4, value))
BIGS = ArrayType(20, 1016, lambda value: _BIG(8, value))
BOOLEANS = ArrayType(16, 1000, lambda value: _TRUE if value else _FALSE)
TIMESTAMPS = ArrayType(1184, 1185, _timestamp)
DATES = ArrayType(1082, 1182, lambda value: _INTEGER(4, value.toordinal() - _DAY_ZERO))


class Array(bytes):
    """An array in wire format. Each type has a separate class, by which psycopg tells the server the type."""

    __slots__ = ()


class _ArrayDumper(Dumper):
    """Passes the bytes on unchanged."""

    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


def _register(kind: ArrayType) -> type[Array]:
    array = type(f"Array{kind.array_oid}", (Array,), {"__slots__": ()})
    dumper = type(f"Dumper{kind.array_oid}", (_ArrayDumper,), {"oid": kind.array_oid})
    psycopg.adapters.register_dumper(array, dumper)
    return array


_ARRAYS = {
    kind.array_oid: _register(kind)
    for kind in (UUIDS, BYTEAS, TEXTS, SMALLS, INTEGERS, BIGS, BOOLEANS, TIMESTAMPS, DATES)
}


def to_columns(kinds: Sequence[ArrayType], rows: Iterable[Sequence[Any]]) -> list[Array]:
    """Turn rows into one array per column, as unnest takes them.

    Args:
        kinds: The type of each column, in order.
        rows: At least one, all as long as `kinds`.

    Raises:
        ValueError: A row is longer or shorter.
    """
    return [kind.encode(column) for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)]
