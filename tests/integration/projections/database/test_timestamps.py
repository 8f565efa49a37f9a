"""Timestamps come out of PostgreSQL as they went in, also where Python's calendar ends; a bad value is a defect."""

from datetime import datetime

import psycopg
import pytest
from eventsourcing.persistence import DataError

from domain.values.timestamps import FIRST, LAST
from projections.database.binary_arrays import TIMESTAMPS
from projections.database.connection import connect
from projections.database.errors import StorageUnavailableError, translate_database_errors
from projections.event_store.unit_of_work import PostgresUnitOfWork
from tests.support.ledger.ledger_bench import LedgerBench

EXTREMES = [
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999-00:01",
    "0001-01-01T00:00:00.000001+00:01",
    "9999-12-31T23:59:59.999999+00:00",
    "0001-01-01T00:00:00+00:00",
    "1969-07-20T20:17:40.000001+00:00",
]
ENDS = {
    "infinity": LAST,
    "-infinity": FIRST,
    "10000-01-02 00:00:00+00": LAST,
    "294276-12-31 23:59:59.999999+00": LAST,
    "0002-12-31 00:00:00+00 BC": FIRST,
    "4713-01-01 00:00:00+00 BC": FIRST,
}


@pytest.mark.parametrize("binary", [False, True])
def test_timestamp_is_read_as_it_was_written(database_url: str, *, binary: bool) -> None:
    """The same instant, in text and binary, alone and in arrays."""
    stored = [datetime.fromisoformat(text) for text in EXTREMES]
    with connect(database_url) as conn, conn.cursor(binary=binary) as cursor:
        row = cursor.execute("SELECT %s, NULL::timestamptz", (TIMESTAMPS.encode(stored),)).fetchone()
        alone = cursor.execute("SELECT unnest(%s)", (TIMESTAMPS.encode(stored),)).fetchall()

    assert row == (stored, None)
    assert [at for (at,) in alone] == stored
    assert all(at.tzinfo is not None for (at,) in alone)


@pytest.mark.parametrize("binary", [False, True])
def test_time_beyond_every_offset_is_read_as_the_end_of_the_calendar(database_url: str, *, binary: bool) -> None:
    """Such rows were written manually; they break no question either."""
    with connect(database_url) as conn, conn.cursor(binary=binary) as cursor:
        rows = [cursor.execute("SELECT %s::timestamptz", (text,)).fetchone() for text in ENDS]

    assert rows == [(end,) for end in ENDS.values()]


@pytest.mark.parametrize("defect", [psycopg.DataError, DataError], ids=["psycopg", "eventsourcing"])
def test_value_that_the_driver_cannot_take_is_a_defect(defect: type[Exception]) -> None:
    """A lost connection is an outage."""
    with pytest.raises(defect), translate_database_errors():
        raise defect("bad value")
    with pytest.raises(StorageUnavailableError), translate_database_errors():
        raise psycopg.OperationalError("gone")


def test_command_that_meets_a_defect_is_not_retried(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised as it is: another try would meet it too."""
    call_counts: list[int] = []

    def fail(_: PostgresUnitOfWork) -> None:
        call_counts.append(1)
        raise psycopg.DataError("bad value")

    monkeypatch.setattr(PostgresUnitOfWork, "commit", fail)
    with pytest.raises(DataError):
        bench.issue()

    assert call_counts == [1]
