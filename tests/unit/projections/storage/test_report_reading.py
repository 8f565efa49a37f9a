from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from projections.storage import report_store, standby_lag
from projections.storage.bootstrap import LedgerStore
from projections.storage.report_store import ReportReading, Standby
from projections.storage.standby_lag import PrimaryPosition, StandbyPosition

CATCH_UP_S = 1.0
Serve = Callable[..., "Servers"]
PRIMARY, STANDBY = "primary", "standby"


class Servers:
    """A primary with 100 bytes of log, a standby that has fewer of them, and a clock that only waiting moves."""

    def __init__(self, replayed: int, last_lag_s: float = 0.0) -> None:
        self.replayed, self.last_lag_s = replayed, last_lag_s
        self.waited_s, self.asked = 0.0, 0

    def read_standby(self, _: object) -> StandbyPosition:
        self.asked += 1
        return StandbyPosition(is_standby=True, system=7, timeline="1", replayed=self.replayed)

    def monotonic(self) -> float:
        return self.waited_s

    def sleep(self, seconds: float) -> None:
        self.waited_s += seconds

    def begin(self) -> ReportReading:
        standby = SimpleNamespace(datastore=_Source(STANDBY), watch=self, lag_s_max=8.0)
        storage = SimpleNamespace(datastore=_Source(PRIMARY))
        return ReportReading(cast("LedgerStore", storage), cast("Standby", standby), CATCH_UP_S)


class _Source:
    def __init__(self, name: str) -> None:
        self.name = name

    @contextmanager
    def get_connection(self) -> Iterator[Any]:
        yield self.name


def answer_queries(reading: ReportReading, count: int) -> list[Any]:
    answered = []
    for _ in range(count):
        with reading.get_connection() as conn:
            answered.append(conn)
    return answered


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    def begin(replayed: int, last_lag_s: float = 0.0) -> Servers:
        servers = Servers(replayed, last_lag_s)
        monkeypatch.setattr(report_store, "read_primary", lambda _: PrimaryPosition(7, "1", 100))
        monkeypatch.setattr(standby_lag, "read_standby", servers.read_standby)
        for module in (report_store, standby_lag):
            monkeypatch.setattr(module, "time", servers)
        return servers

    return begin


def test_paused_standby_costs_one_wait(serve: Serve) -> None:
    servers = serve(replayed=99)

    answered = answer_queries(servers.begin(), 12)

    assert answered == [PRIMARY] * 12
    assert CATCH_UP_S <= servers.waited_s <= CATCH_UP_S + 2 * standby_lag.CATCH_UP_POLL_S


def test_standby_that_has_everything_answers_without_a_wait(serve: Serve) -> None:
    """Each query, and it is measured before each, since a balancer may stand before several standbys."""
    servers = serve(replayed=100)

    answered = answer_queries(servers.begin(), 3)

    assert (answered, servers.waited_s, servers.asked) == ([STANDBY] * 3, 0.0, 3)


def test_standby_that_has_just_been_too_far_behind_is_not_asked(serve: Serve) -> None:
    servers = serve(replayed=99, last_lag_s=5.0)

    assert answer_queries(servers.begin(), 2) == [PRIMARY] * 2
    assert (servers.waited_s, servers.asked) == (0.0, 0)


def test_waits_for_several_standbys_share_one_deadline(serve: Serve) -> None:
    """Behind a balancer, each connection may lead to another one that lags."""
    servers = serve(replayed=100)
    reading = servers.begin()

    answered = answer_queries(reading, 1)
    servers.sleep(CATCH_UP_S)
    servers.replayed = 99
    answered += answer_queries(reading, 2)

    assert answered == [STANDBY, PRIMARY, PRIMARY]
    assert servers.waited_s <= CATCH_UP_S + 2 * standby_lag.CATCH_UP_POLL_S
