from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from projections.storage import report_store, standby_lag
from projections.storage.bootstrap import LedgerStore
from projections.storage.report_store import ReportReading, Standby
from projections.storage.standby_lag import LagEstimate, PrimaryPosition, StandbyPosition

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


def primary(flushed: int, timeline: str = "00000001") -> PrimaryPosition:
    return PrimaryPosition(7, timeline, flushed)


def standby(replayed: int, timeline: str = "00000001", system: int = 7, *, is_standby: bool = True) -> StandbyPosition:
    return StandbyPosition(is_standby, system, timeline, replayed)


def test_lag_is_the_age_of_the_newest_position_that_the_standby_has() -> None:
    estimate = LagEstimate()
    assert estimate.find_lag_s(standby(100), now=0.0) is None
    for at, flushed in ((1.0, 100), (2.0, 100), (3.0, 250), (4.0, 300)):
        estimate.add_primary(at, primary(flushed))

    assert estimate.find_lag_s(standby(99), now=5.0) is None
    assert estimate.find_lag_s(standby(100), now=5.0) == 3.0
    assert estimate.find_lag_s(standby(249), now=9.0) == 7.0
    assert estimate.find_lag_s(standby(300), now=5.0) == 1.0
    assert estimate.find_lag_s(standby(301), now=3.9) == 0.0


def test_lag_grows_while_the_primary_does_not_answer() -> None:
    estimate = LagEstimate()
    estimate.add_primary(1.0, primary(100))

    assert [estimate.find_lag_s(standby(100), now=now) for now in (1.5, 61.0)] == [0.5, 60.0]


def test_lag_of_a_server_with_another_history_is_unknown() -> None:
    estimate = LagEstimate()
    estimate.add_primary(1.0, primary(100))
    others = (standby(500, system=8), standby(500, "00000002"), standby(500, is_standby=False))
    assert [estimate.find_lag_s(other, now=2.0) for other in others] == [None, None, None]

    estimate.add_primary(3.0, primary(200, "00000002"))

    assert estimate.find_lag_s(standby(500), now=4.0) is None
    assert estimate.find_lag_s(standby(150, "00000002"), now=4.0) is None
    assert estimate.find_lag_s(standby(200, "00000002"), now=4.0) == 1.0
