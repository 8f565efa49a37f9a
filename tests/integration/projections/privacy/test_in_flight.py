"""What an erasure waits for: a lease that lasts, not one of a clock that was ahead."""

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from projections.privacy.in_flight import find_in_flight
from projections.sql.privacy import PrivacySql
from tests.support.ledger.ledger_bench import LedgerBench


@pytest.mark.parametrize(
    ("lasts", "messages"),
    [(timedelta(seconds=-1), 0), (timedelta(seconds=90), 1), (timedelta(hours=1), 0), (timedelta(days=2), 0)],
)
def test_overlong_lease_delays_no_erasure(bench: LedgerBench, lasts: timedelta, messages: int) -> None:
    """The clock was ahead when it was taken."""
    now, digest = bench.storage.recorder.clock.now(), b"d" * 32
    with psycopg.connect(bench.database_url) as conn, conn.cursor() as cursor:
        cursor.execute(PrivacySql.lease_test_email, (uuid4(), digest, now + lasts))

        in_flight = find_in_flight(cursor, [], [digest], now)

    assert in_flight.messages == messages
