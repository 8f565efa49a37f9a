"""A slice of `make long-life` in the small world, where a process caches four codes: every answer is the log's."""

from pathlib import Path

import pytest

from tests.faults.long_life import Plan, live

pytestmark = [pytest.mark.timeout(170), pytest.mark.small_world("its caches are full after a few codes")]


def test_answers_are_those_of_the_log_while_connections_end(servers_folder: Path) -> None:
    """300 codes and 450 redeems; the connections of the database end every second."""
    life = live(servers_folder / "long-life", Plan(codes=300, redeems=450, end_every_s=1.0, seed=7))

    assert life.defects == [], life.counts
    assert life.counts["202"] > 250, life.counts
    assert life.ended, life.counts
