"""The checker of erased addresses: one that nothing needs is left, and one that something needs is erased."""

import pytest

from tests.faults.rigs.address_sweep import find_wrong_addresses


@pytest.mark.parametrize(
    ("left", "word"),
    [
        ({"needed"}, None),
        ({"needed", "due"}, "the address of due was not erased"),
        (set[str](), "the address of needed was erased"),
    ],
)
def test_wrong_address_is_named(left: set[str], word: str | None) -> None:
    broken = [*find_wrong_addresses({"needed", "due"}, {"needed"}, left)]

    assert (broken == []) if word is None else any(word in each for each in broken)
