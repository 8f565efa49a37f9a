from hypothesis import given
from hypothesis import strategies as st

from api.rate_limits.gcra import OWED_S_MAX, Gcra, Limit

LIMIT = Limit("test", 5, 3.0)
GAPS = st.lists(st.integers(0, 9), min_size=1, max_size=80)
KEY = b"k"


@given(GAPS)
def test_no_window_holds_more_than_a_burst_and_its_refill(gaps: list[int]) -> None:
    """In any stretch, at most burst + stretch / period."""
    gcra, now, acquired_at = Gcra(LIMIT), 0, []
    for gap in gaps:
        now += gap
        if not gcra.wait_s(KEY, now):
            gcra.spend(KEY, now)
            acquired_at.append(now)

    for first, begin in enumerate(acquired_at):
        for last in range(first, len(acquired_at)):
            assert last - first + 1 <= LIMIT.burst + (acquired_at[last] - begin) / LIMIT.period_s


@given(GAPS)
def test_retry_after_is_exact(gaps: list[int]) -> None:
    gcra, now = Gcra(LIMIT), 0.0
    for gap in gaps:
        now += gap / 4
        if wait_s := gcra.wait_s(KEY, now):
            assert gcra.wait_s(KEY, now + wait_s - 0.01) > 0
            now += wait_s
        assert gcra.wait_s(KEY, now) == 0
        gcra.spend(KEY, now)


@given(GAPS)
def test_rate_limit_remaining_counts_requests_that_conform_now(gaps: list[int]) -> None:
    gcra, now = Gcra(LIMIT), 0
    for gap in gaps:
        now += gap
        gcra.spend(KEY, now)
    remaining = gcra.remaining(KEY, now)
    for _ in range(remaining):
        assert gcra.wait_s(KEY, now) == 0
        gcra.spend(KEY, now)

    assert gcra.wait_s(KEY, now) > 0


@given(GAPS, st.integers(0, 8))
def test_requests_in_flight_count_as_spent(gaps: list[int], concurrent: int) -> None:
    gcra, spent, now = Gcra(LIMIT), Gcra(LIMIT), 0
    for gap in gaps:
        now += gap
        gcra.spend(KEY, now)
        spent.spend(KEY, now)
    for _ in range(concurrent):
        spent.spend(KEY, now)

    assert abs(gcra.wait_s(KEY, now, concurrent) - spent.wait_s(KEY, now)) < 1e-3


def test_excess_is_owed_up_to_a_bound() -> None:
    """A burst is paid for, and no client is locked out for hours."""
    gcra = Gcra(LIMIT)
    gcra.spend(KEY, 0.0, 20)
    owed = gcra.wait_s(KEY, 0.0)
    gcra.spend(KEY, 0.0, 10_000)

    assert owed == (20 - LIMIT.burst + 1) * LIMIT.period_s
    assert gcra.wait_s(KEY, 0.0) == OWED_S_MAX + LIMIT.period_s


def test_keys_know_nothing_of_each_other() -> None:
    gcra = Gcra(LIMIT)
    gcra.spend(b"a", 0.0, 5)

    assert (gcra.wait_s(b"a", 0.0), gcra.wait_s(b"b", 0.0)) == (3.0, 0.0)


def test_memory_has_a_bound_and_the_longest_quiet_key_goes_first() -> None:
    gcra = Gcra(LIMIT, keys_max=100)
    for number in range(1_000):
        gcra.spend(number.to_bytes(2, "big"), 0.001 * number)

    assert len(gcra) == 100
    assert gcra.remaining((999).to_bytes(2, "big"), 1.0) < LIMIT.burst == gcra.remaining((0).to_bytes(2, "big"), 1.0)
    gcra.spend(b"later", 1_000.0)
    assert len(gcra) == 1
