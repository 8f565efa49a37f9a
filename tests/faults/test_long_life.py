"""A slice of `make long-life` in the small world, where a process caches four codes: every answer is the log's."""

from pathlib import Path

import pytest

from tests.faults.long_life import Plan, live

pytestmark = [pytest.mark.night(of="outages"), pytest.mark.small_world("its caches are full after a few codes")]


def test_answers_are_those_of_the_log_while_connections_end(servers_folder: Path) -> None:
    """2,000 codes and 3,000 redeems; the connections of the database end again and again."""
    life = live(servers_folder / "long-life", Plan(codes=2_000, redeems=3_000, end_every_s=0.2, seed=7))

    assert life.defects == [], life.counts
    assert life.counts["202"] > 1_500, life.counts
    assert life.ended, life.counts
