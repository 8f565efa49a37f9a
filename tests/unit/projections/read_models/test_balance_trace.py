"""A bounded number of samples of a balance: every change while they are few, every peak when they are many."""

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest

from domain.model.redeem_code import RedeemCode
from projections.read_models.balance_trace import SAMPLES_MAX, BalanceTrace
from tests.support.ledger.code_terms import make_terms

START = datetime(2026, 11, 27, tzinfo=UTC)


def state(version: int, used: int, reserved: int = 0) -> RedeemCode:
    """A code after an event."""
    at = START + timedelta(seconds=version)
    terms = make_terms(max_uses=None)
    return RedeemCode(
        code_id=UUID(int=1), version=version, last_at=at, issued_at=START, terms=terms, bound=False, used=used,
        reserved=reserved,
    )  # fmt: skip


def test_each_change_is_sampled_while_they_are_few() -> None:
    """Events that change nothing are left out."""
    trace = BalanceTrace()
    for version, used in enumerate([0, 0, 1, 1, 2, 1], start=1):
        trace.add(state(version, used))

    assert [(sample.version, sample.used) for sample in trace.list_samples()] == [(1, 0), (3, 1), (5, 2), (6, 1)]
    assert trace.changes == 4


@pytest.mark.parametrize("seed", range(3))
def test_samples_are_bounded_and_keep_peak_and_end(seed: int) -> None:
    """Of a random walk: in order, with its highest balance and its last one; continuing a copy changes no original."""
    random = Random(seed)
    trace, used, walk = BalanceTrace(), 0, []
    for version in range(1, 12_345):
        used = max(0, used + random.choice([-1, 1]))
        walk.append(used)
        trace.add(state(version, used))
        if version == 5_000:
            halfway = trace.copy()
            samples = halfway.list_samples()

    versions = [sample.version for sample in trace.list_samples()]
    assert len(versions) <= 2 * SAMPLES_MAX + 1
    assert versions == sorted(set(versions)), seed
    assert max(sample.used for sample in trace.list_samples()) == max(walk), seed
    assert trace.list_samples()[-1].used == used
    assert halfway.list_samples() == samples
