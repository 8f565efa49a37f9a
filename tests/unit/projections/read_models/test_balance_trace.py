from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from projections.read_models.balance_trace import SAMPLES_MAX, BalanceSample, BalanceTrace

START = datetime(2026, 11, 27, tzinfo=UTC)


def sample(version: int, used: int) -> BalanceSample:
    return BalanceSample(version, START + timedelta(seconds=version), used, 0, None, None)


def test_each_change_is_sampled_while_they_are_few() -> None:
    trace = BalanceTrace()
    for version, used in enumerate([0, 0, 1, 1, 2, 1], start=1):
        trace.add(sample(version, used))

    assert [(each.version, each.used) for each in trace.list_samples()] == [(1, 0), (3, 1), (5, 2), (6, 1)]
    assert trace.changes == 4


@pytest.mark.parametrize("seed", range(3))
def test_samples_are_bounded_and_keep_peak_and_end(seed: int) -> None:
    random = Random(seed)
    trace, used, walk = BalanceTrace(), 0, []
    for version in range(1, 12_345):
        used = max(0, used + random.choice([-1, 1]))
        walk.append(used)
        trace.add(sample(version, used))
        if version == 5_000:
            halfway = trace.copy()
            samples = halfway.list_samples()

    versions = [each.version for each in trace.list_samples()]
    assert len(versions) <= 2 * SAMPLES_MAX + 1
    assert versions == sorted(set(versions)), seed
    assert max(each.used for each in trace.list_samples()) == max(walk), seed
    assert trace.list_samples()[-1].used == used
    assert halfway.list_samples() == samples
