"""Fifty thousand inputs to the parsers of everything that comes from outside; `make soak` gives a million."""

import pytest

from tests.fuzz.fuzz_runs import INPUTS_IN_TESTS, CrashError, fuzz
from tests.fuzz.mutator import Mutator


def test_no_input_crashes_a_parser() -> None:
    assert sum(fuzz(INPUTS_IN_TESTS, 9).values()) >= INPUTS_IN_TESTS


def test_parser_that_crashes_is_found_and_the_input_comes_again() -> None:
    """The message leads to the same input."""

    def weak(mutator: Mutator) -> None:
        mutator.text(("12345",)).encode()  # half of a surrogate pair is no text

    with pytest.raises(CrashError, match=r"weak: input \d+ of Mutator\(\d+\): UnicodeEncodeError") as first:
        fuzz(20_000, 1, [weak])
    with pytest.raises(CrashError) as second:
        fuzz(20_000, 1, [weak])
    assert str(first.value) == str(second.value)
