"""How long and how often a message is tried: ever more rarely, for three days, never at everybody's same moment."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.webhooks.retry_schedule import LONGEST_S, REST_LONGEST_S, RETRY_AFTER_MAX_S, RETRY_WINDOW, next_try, rest

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
CHANCES = st.floats(0, 1)
ASKED = st.none() | st.floats(-10, 1e9)


def attempt_times(chance: float) -> list[datetime]:
    """All tries of a message that nobody takes."""
    times = [START]
    while (again := next_try(START, times[-1], len(times), chance, None)) is not None:
        times.append(again)
    return times


def test_a_message_is_attempted_for_three_days() -> None:
    """Soon at first; the last try is three days after the first."""
    times = attempt_times(0.0)

    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert waits[:4] == [5.0, 20.0, 80.0, 320.0]
    assert max(waits) == LONGEST_S
    assert times[-1] == START + RETRY_WINDOW
    assert 14 <= len(times) <= 18


@given(CHANCES)
def test_jitter_only_spreads(chance: float) -> None:
    """By a quarter at most, and never beyond the end."""
    times = attempt_times(chance)

    assert times[1] - START <= timedelta(seconds=5 * 1.25)
    assert times[-1] == START + RETRY_WINDOW
    assert 12 <= len(times) <= 18


@given(st.integers(1, 10**6), CHANCES, ASKED)
def test_requested_wait_is_bounded_by_a_day(attempts: int, chance: float, asked_s: float | None) -> None:
    """Never sooner than without, never later than three days after the first try."""
    plain = next_try(START, START, attempts, chance, None)
    asked = next_try(START, START, attempts, chance, asked_s)

    assert plain is not None
    assert asked is not None
    assert plain <= asked <= START + timedelta(seconds=max(LONGEST_S * 1.25, RETRY_AFTER_MAX_S))
    if asked_s is not None:
        assert asked >= START + timedelta(seconds=min(asked_s, RETRY_AFTER_MAX_S) - 0.001)


@given(st.integers(1, 10**6), CHANCES)
def test_unavailable_endpoint_backs_off_for_minutes_at_most(failures: int, chance: float) -> None:
    """So it is noticed soon when it is back; unless it asks for more."""
    assert timedelta(seconds=1) <= rest(START, failures, chance, None) - START
    assert rest(START, failures, chance, None) - START <= timedelta(seconds=REST_LONGEST_S * 1.25)
    assert rest(START, failures, chance, 3600.0) == START + timedelta(hours=1)
