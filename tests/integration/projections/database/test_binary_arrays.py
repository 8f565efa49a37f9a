"""Arrays in wire form: the server reads back what was written."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from projections.database.binary_arrays import (
    BIGS,
    BOOLEANS,
    BYTEAS,
    INTEGERS,
    SMALLS,
    TEXTS,
    TIMESTAMPS,
    UUIDS,
    ArrayType,
    to_columns,
)

TIMESTAMP = datetime(2026, 11, 25, 1, 2, 3, 456789, tzinfo=UTC)

SAMPLES: list[tuple[ArrayType, str, Sequence[Any]]] = [
    (UUIDS, "uuid[]", (UUID(int=0), uuid4(), None)),
    (BYTEAS, "bytea[]", (b"", b"\0\xff", None)),
    (TEXTS, "text[]", ("", 'it\'s {"a\\b"}, NULL', "兑换码", None)),
    (SMALLS, "smallint[]", (-32768, 0, 32767)),
    (INTEGERS, "integer[]", (-(2**31), None, 2**31 - 1)),
    (BIGS, "bigint[]", (-(2**63), 2**63 - 1, None)),
    (BOOLEANS, "boolean[]", (True, False, None)),
    (TIMESTAMPS, "timestamp with time zone[]", (TIMESTAMP, TIMESTAMP - timedelta(days=36_525), None)),
    (TEXTS, "text[]", (None, None)),
    (TEXTS, "text[]", (None, "a", None)),
    (TIMESTAMPS, "timestamp with time zone[]", (TIMESTAMP, TIMESTAMP)),
    (UUIDS, "uuid[]", (UUID(int=1), UUID(int=2), UUID(int=1))),
    (TEXTS, "text[]", ()),
]


@pytest.mark.parametrize(("kind", "name", "values"), SAMPLES, ids=range(len(SAMPLES)))
def test_server_reads_binary_arrays_as_written(
    kind: ArrayType, name: str, values: Sequence[Any], postgres_url: str
) -> None:
    """Every type, its extremes, NULL, and the empty array; the type is known without a cast."""
    with psycopg.connect(postgres_url) as conn:
        array = kind.encode(values)
        row = conn.execute("SELECT %s, pg_typeof(%s)::text", (array, array)).fetchone()

    assert row == (list(values), name)


def test_timestamps_keep_every_microsecond(postgres_url: str) -> None:
    """A moment that went through a float would come back another."""
    numbers = random.Random(3)
    moments = [TIMESTAMP + timedelta(microseconds=numbers.randrange(10**16)) for _ in range(200)]
    with psycopg.connect(postgres_url) as conn:
        row = conn.execute("SELECT %s", (TIMESTAMPS.encode(moments),)).fetchone()

    assert row == (moments,)


def test_rows_become_columns() -> None:
    assert to_columns((BIGS, TEXTS), [(1, "a"), (2, None)]) == [BIGS.encode((1, 2)), TEXTS.encode(("a", None))]


@pytest.mark.parametrize("row", [(1,), (1, "a", None)])
def test_row_of_another_length_is_a_defect(row: tuple[object, ...]) -> None:
    """It would shift every value after it into a wrong column."""
    with pytest.raises(ValueError, match="zip"):
        to_columns((BIGS, TEXTS), [row])
