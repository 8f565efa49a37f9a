"""The checker of `make failover` finds what it is there for, and its rounds measure what the table says."""

import pytest

from tests.faults.chaos.observations import LogFact
from tests.faults.failover.api_observations import FeedEntry, fact_of
from tests.faults.failover.cluster_faults import CLUSTER_FAULTS
from tests.faults.failover.feed_order import order_violations
from tests.faults.failover.round_report import FailoverRound, table
from tests.faults.failover.run_watch import DoctorAnswer, Readiness
from tests.faults.failover.runner import FailoverPlan

FEED = [FeedEntry(1, "a", 1, "CodeIssued"), FeedEntry(3, "b", 1, "CodeIssued"), FeedEntry(4, "a", 2, "UseReserved")]


def test_seed_gives_the_same_cluster_faults_in_the_same_order() -> None:
    """Kinds and order are the seed's, every kind once before any repeats."""
    plan = FailoverPlan(seed=5, rounds=len(CLUSTER_FAULTS) * 2)
    names = [fault.name for fault in plan.sequence()]

    assert names == [fault.name for fault in FailoverPlan(seed=5, rounds=len(CLUSTER_FAULTS) * 2).sequence()]
    assert set(names[: len(CLUSTER_FAULTS)]) == set(names[len(CLUSTER_FAULTS) :])
    assert len(set(names)) == len(CLUSTER_FAULTS)


def test_feed_read_in_parts_is_a_prefix() -> None:
    """The control: any reading that stopped early breaks nothing."""
    assert list(order_violations(FEED, {"feed": FEED, "standby": FEED[:2], "nothing": []})) == []


@pytest.mark.parametrize(
    ("final", "reading", "word"),
    [
        ([FEED[1], FEED[0], FEED[2]], [], "position 1 follows 3"),
        ([FEED[0], FEED[0], FEED[1]], [], "position 1 follows 1"),
        ([FEED[2]], [], "version 2 instead of 1"),
        (FEED, [FEED[0], FEED[2]], "standby: event 1 was read as"),
        (FEED[:2], FEED, "standby: read 1 events that are gone"),
    ],
)
def test_broken_feed_order_is_named(final: list[FeedEntry], reading: list[FeedEntry], word: str) -> None:
    assert any(word in violation for violation in order_violations(final, {"standby": reading}))


def test_feed_event_becomes_a_fact_of_the_checker() -> None:
    """The checker reads the same names from the feed as from the database."""
    event = {
        "position": 4,
        "type": "UseRefunded",
        "code_id": "a",
        "version": 3,
        "actor": "sweep",
        "reservation_id": "1234",
        "data": {"held": "reserved"},
    }

    assert fact_of(event) == LogFact(
        "a", 3, "UseRefunded", {"held": "reserved", "actor": "sweep", "reservation_id": "1234"}
    )


def test_round_measures_the_longest_time_without_answers() -> None:
    """Of the loads the worse, from the fault on; readiness and doctor count within it."""
    one_round = FailoverRound("node killed", began=10.0, ended=40.0)
    one_round.acked = [[9.0, 11.0, 31.0, 32.0], [9.0, 12.0, 20.0]]
    one_round.readiness = [Readiness(10.5, "b", 200), Readiness(12.0, "b", 200), Readiness(20.0, "b", 503)]
    one_round.doctor = [DoctorAnswer(15.0, 1, "database")]

    assert one_round.gap_s == 20.0
    assert one_round.readiness_in_gap() == [200, 503]
    assert list(table([one_round]))[-1] == "| node killed | 1 | 20.0 s | 20.0 s | 0 of 1 | 1 | 1 | 0 | 1 of 1 |"
