"""How long the system waits after a failure: doubling waits up to a bound, with a jitter of each reservation."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.policy import Policy

STEPS = UUID(bytes=bytes([0, 64, 128, 255, *[0] * 12]))
"""Jitter in parts of 256 of a quarter, by the number of the attempt."""
NO_JITTER = UUID(int=0)


@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        (1, 5 * (1 + 1 / 16)),
        (2, 10 * (1 + 1 / 8)),
        (3, 20 * (1 + 255 / 1024)),
        (4, 40),
        (7, 300),
        (16, 300),
        (17, 300 * (1 + 1 / 16)),
    ],
)
def test_wait_doubles_and_has_the_jitter_of_its_reservation(number: int, seconds: float) -> None:
    """Up to a quarter more, by a byte of the id that the number of the attempt chooses."""
    assert Policy().back_off(STEPS, number) == timedelta(seconds=seconds)


def test_wait_after_a_failed_connection_is_shorter_at_most() -> None:
    """A minute, or the bound of the other waits where that is less."""
    assert [Policy().reconnect(NO_JITTER, failures).total_seconds() for failures in (1, 4, 5, 9)] == [5, 40, 60, 60]
    assert Policy(retry_longest_s=20).reconnect(NO_JITTER, 9) == timedelta(seconds=20)


def test_number_of_failures_never_overflows() -> None:
    """Doubling ends at 2 ** 32; a bound beyond that shows it."""
    endless = Policy(retry_first_s=1, retry_longest_s=float(2**40))

    assert endless.back_off(NO_JITTER, 33) == timedelta(seconds=2**32)
    assert endless.back_off(NO_JITTER, 32) == timedelta(seconds=2**31)
    assert endless.back_off(NO_JITTER, 10**6) == timedelta(seconds=2**32)
