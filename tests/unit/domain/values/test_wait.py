"""How long something waits after failures in a row."""

from datetime import timedelta

import pytest

from domain.values.wait import STEPS_MAX, Wait


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (10**6, 300)])
def test_wait_is_multiplied_up_to_its_bound(failures: int, seconds: float) -> None:
    assert Wait(5.0, 2.0, 300.0).after(failures) == timedelta(seconds=seconds)


def test_wait_without_a_factor_grows_by_the_first_one() -> None:
    assert [Wait(60.0).after(failures).total_seconds() for failures in (1, 2, 5)] == [60, 120, 300]
    assert [Wait(60.0, 1.0).after(failures).total_seconds() for failures in (1, 2, 5)] == [60, 60, 60]


def test_jitter_is_added_to_the_bounded_wait() -> None:
    wait = Wait(5.0, 2.0, 300.0, jitter=0.25)

    assert wait.after(2, chance=0.5) == timedelta(seconds=10 * 1.125)
    assert wait.after(9, chance=1.0) == timedelta(seconds=375)
    assert Wait(5.0, 2.0).after(2, chance=1.0) == timedelta(seconds=10)


def test_number_of_failures_never_overflows() -> None:
    """Multiplying ends after a number of steps; a bound beyond that shows it."""
    endless = Wait(1.0, 2.0, float(2 ** (STEPS_MAX + 8)))

    assert endless.after(STEPS_MAX) == timedelta(seconds=2.0 ** (STEPS_MAX - 1))
    assert endless.after(STEPS_MAX + 1) == timedelta(seconds=2.0**STEPS_MAX)
    assert endless.after(10**6) == timedelta(seconds=2.0**STEPS_MAX)


@pytest.mark.parametrize(("waited_s", "failures"), [(0, 0), (59, 0), (60, 1), (119, 1), (1500, 5), (3600, STEPS_MAX)])
def test_wait_says_after_how_many_failures_it_was(waited_s: float, failures: int) -> None:
    """A wait in between is that of the failure before; at the bound it may have been any number."""
    wait = Wait(60.0, 2.0, 3600.0)

    assert wait.count_failures(timedelta(seconds=waited_s)) == failures
    assert wait.after(failures + 1) == timedelta(seconds=min(60 * 2**failures, 3600))
