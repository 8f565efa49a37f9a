"""Leases and deadlines go by the database's clock, whatever this host's says."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from typing import Any
from uuid import uuid4

import pytest

from domain.commands.delivery.claim_attempt import ClaimAttempt
from projections.database.clock import DatabaseClock
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for

HOUR = timedelta(hours=1)


@contextmanager
def host_off_by(jump: timedelta, zone: str = "UTC") -> Iterator[None]:
    """This host's wall clock is wrong by so much, in a zone of its own."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:  # noqa: ANN401 - datetime's own word is Self
            return datetime.fromtimestamp(time.time(), tz) + jump

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("projections.database.clock.datetime", Wrong)
        patch.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["ahead", "behind"])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland"])
def test_process_whose_host_is_wrong_refunds_nothing_early(bench: LedgerBench, jump: timedelta, zone: str) -> None:
    """From its first command on: a sweep gives nothing back, and a lease is as long as everybody else's."""
    waiting, claimed = (
        done(bench.redeem(bench.issue(), "a@example.com")).require_reservation().reservation_id for _ in range(2)
    )
    with (
        host_off_by(jump, zone),
        LedgerStore.open(settings_for(bench.database_url)) as storage,
    ):
        wrong = LedgerBench(storage, bench.database_url)
        settled = wrong.settle(waiting)
        context = wrong.context("worker", "t1")
        done(wrong.run(ClaimAttempt(context=context, reservation_id=claimed, channel="smtp", case_id=uuid4())))

    ((left_s,),) = bench.rows(
        "SELECT extract(epoch FROM lease_until - now())::float FROM reservations WHERE lease_until IS NOT NULL"
    )
    assert not done(settled).changed
    assert bench.rows("SELECT count(*) FROM reservations WHERE status = 'live'") == [(2,)]
    assert 0 < left_s <= settings_for(bench.database_url).lease_s


def test_unset_clock_is_never_asked() -> None:
    """This host's own time is no stand-in for the database's."""
    with pytest.raises(RuntimeError, match="never asked"):
        DatabaseClock().now()
