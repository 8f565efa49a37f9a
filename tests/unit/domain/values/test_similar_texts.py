"""What a mistyped code or domain may have been, and that parts of codes are compared by whole groups only."""

from random import Random

import pytest

from domain.values.identifiers import CROCKFORD, generate_code
from domain.values.similar_texts import (
    SPELLINGS_MAX,
    has_groups,
    is_similar_domain,
    list_corrected_codes,
    list_spellings,
    split_groups,
)

NATIVE = generate_code(Random(21))


def test_spellings_exchange_each_look_alike_and_stay_bounded() -> None:
    """O with 0; I, L and 1 with each other; nothing else, and only so many."""
    assert set(list_spellings("SOLO")) == {f"S{a}{b}{c}" for a in "0O" for b in "1IL" for c in "0O"}
    assert list_spellings("SOLO")[0] == "SOLO"
    assert list_spellings("XYZ") == ["XYZ"]
    assert len(list_spellings("O" * 8)) == SPELLINGS_MAX
    assert list_spellings("O" * 9) == ["O" * 9]


@pytest.mark.parametrize(
    "typed",
    [
        "8" + NATIVE[1:],
        NATIVE[:7] + NATIVE[8:],
        NATIVE[:7] + "A" + NATIVE[7:],
        NATIVE[:4] + NATIVE[5] + NATIVE[4] + NATIVE[6:],
    ],
)
def test_one_error_in_a_native_code_is_corrected(typed: str) -> None:
    corrected = list_corrected_codes(typed)

    assert NATIVE in corrected
    assert len(corrected) < 60


@pytest.mark.parametrize("prefix", ["VIP", "AUTUMN2027"])
@pytest.mark.parametrize(
    "typed", [NATIVE[:5] + NATIVE[6:], f"{NATIVE[:5]}Q{NATIVE[5:]}", NATIVE[1] + NATIVE[0] + NATIVE[2:]]
)
def test_error_behind_a_prefix_is_corrected(prefix: str, typed: str) -> None:
    corrected = list_corrected_codes(prefix + typed)

    assert prefix + NATIVE in corrected
    assert len(corrected) < 120


def test_parts_of_codes_match_by_whole_groups_only() -> None:
    groups = split_groups(NATIVE)

    assert has_groups(NATIVE, NATIVE[4:12])
    assert has_groups(NATIVE, NATIVE[-6:])
    assert {has_groups(NATIVE, character + NATIVE[-4:]) for character in CROCKFORD} == {True}
    assert {has_groups(NATIVE, NATIVE[4:8] + character) for character in CROCKFORD} == {True}
    assert not has_groups(NATIVE, NATIVE[2:6])
    assert not has_groups(NATIVE, groups[2] + groups[0])
    assert not has_groups(NATIVE, NATIVE[4:7])
    assert has_groups("PROMO-" + NATIVE, groups[0])
    assert split_groups("SEVENXY") == ()


@pytest.mark.parametrize(
    ("typed", "domain", "is_similar"),
    [
        ("gmail.com", "gmail.com", True),
        ("gmail.com", "gmial.com", True),
        ("gmail.com", "gmail.co", True),
        ("gmail.com", "gamil.con", True),
        ("gmail.com", "hotmail.com", False),
        ("qq.com", "163.com", False),
    ],
)
def test_domains_are_similar_up_to_two_errors(typed: str, domain: str, *, is_similar: bool) -> None:
    assert is_similar_domain(typed, domain) is is_similar
