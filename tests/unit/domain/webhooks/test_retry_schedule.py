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
    times = [START]
    while (again := next_try(START, times[-1], len(times), chance, None)) is not None:
        times.append(again)
    return times


def test_message_is_attempted_for_three_days() -> None:
    times = attempt_times(0.0)

    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert waits[:4] == [5.0, 20.0, 80.0, 320.0]
    assert max(waits) == LONGEST_S
    assert times[-1] == START + RETRY_WINDOW
    assert 14 <= len(times) <= 18


@given(CHANCES)
def test_jitter_only_spreads(chance: float) -> None:
    times = attempt_times(chance)

    assert times[1] - START <= timedelta(seconds=5 * 1.25)
    assert times[-1] == START + RETRY_WINDOW
    assert 12 <= len(times) <= 18


@given(st.integers(1, 10**6), CHANCES, ASKED)
def test_requested_wait_is_bounded_by_a_day(attempts: int, chance: float, asked_s: float | None) -> None:
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


def test_next_try_is_exact() -> None:
    """Four times the wait of the attempt before, a quarter of it at random; what was asked if that is longer."""
    at = START + timedelta(hours=1)

    assert next_try(START, at, 1, 0.0, None) == at + timedelta(seconds=5)
    assert next_try(START, at, 2, 1.0, None) == at + timedelta(seconds=25)
    assert next_try(START, at, 2, 0.5, 22.5) == at + timedelta(seconds=22.5)
    assert next_try(START, at, 2, 0.5, 22.4) == at + timedelta(seconds=22.5)
    assert next_try(START, at, 2, 0.0, 30.0) == at + timedelta(seconds=30)
    assert next_try(START, at, 1, 0.0, 86_401.0) == at + timedelta(days=1)


def test_last_try_is_at_the_end_of_the_window() -> None:
    end = START + RETRY_WINDOW
    tick = timedelta(microseconds=1)

    assert next_try(START, end - tick, 9, 0.0, None) == end
    assert next_try(START, end, 9, 0.0, None) is None
    assert next_try(START, end + tick, 9, 0.0, None) is None


def test_rest_of_an_endpoint_is_exact() -> None:
    """Twice the rest of the failure before, up to five minutes; what was asked if that is longer, up to a day."""
    rests = [rest(START, failures, 0.0, None) - START for failures in (1, 2, 3, 9, 10, 10**6)]

    assert [each.total_seconds() for each in rests] == [1, 2, 4, 256, 300, 300]
    assert rest(START, 3, 1.0, None) == START + timedelta(seconds=5)
    assert rest(START, 3, 0.0, 6.0) == START + timedelta(seconds=6)
    assert rest(START, 3, 0.0, 3.0) == START + timedelta(seconds=4)
    assert rest(START, 1, 0.0, 86_401.0) == START + timedelta(days=1)
