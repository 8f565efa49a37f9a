"""Codes in typed and pasted text: where one is, and what its text tells of how hard it is to guess."""

import random
from typing import Final

import pytest

from domain.values.code_strength import classify_code, entropy_bits
from domain.values.identifiers import TYPED_LENGTH_MAX, format_code, generate_code, normalize_code
from domain.values.pasted_codes import CANDIDATES_MAX, list_pasted_codes


def test_native_code_is_recognized_in_every_spelling() -> None:
    text = generate_code(random.Random(3))

    assert classify_code(text) == "native"
    assert classify_code(normalize_code(f"spring-{text.lower()}")) == "native"
    assert classify_code(normalize_code(text.replace("0", "o").replace("1", "l"))) == "native"


def test_slip_makes_a_long_one() -> None:
    """The check character shows it; anyone who mistypes a native code is not held to the limits of short ones."""
    text = generate_code(random.Random(3))
    slip = ("2" if text[4] != "2" else "3").join((text[:4], text[5:]))

    assert classify_code(slip) == "long"


@pytest.mark.parametrize(
    ("text", "bits", "shape"),
    [
        ("482913", 19.9, "short"),
        ("DEADBEEF", 32, "short"),
        ("DEADBEEFDEADBEEFDEA", 76, "short"),
        ("DEADBEEFDEADBEEFDEAD", 80, "long"),
        ("A7K2M9QX", 41.4, "short"),
        ("ABCDE12345FGHIJ", 77.5, "short"),
        ("ABCDE12345FGHIJ6", 82.7, "long"),
        ("12345678901234567890", 66.4, "short"),
        ("550E8400E29B41D4A716446655440000", 128, "long"),
        ("SUMMER_2026", 51.7, "short"),
        ("新年快乐2026", 13.3, "short"),
        ("____________________", 0, "short"),
    ],
)
def test_most_that_a_text_can_hold(text: str, bits: float, shape: str) -> None:
    """Letters and digits count as if drawn from the smallest usual alphabet that has them; nothing else does."""
    assert entropy_bits(text) == pytest.approx(bits, abs=0.06)
    assert classify_code(text) == shape


NATIVE: Final = generate_code(random.Random(3))
SHOWN: Final = format_code(NATIVE)
FULL_WIDTH: Final = "".join(chr(ord(character) + 0xFEE0) for character in SHOWN)


@pytest.mark.parametrize(
    "typed",
    [
        f"Code: {SHOWN}",
        f"您的兑换码：{SHOWN}",
        f"您的兑换码是{SHOWN}，请尽快使用",
        f"兑换码：{FULL_WIDTH}",
        f"Your code:\n{SHOWN}\nThanks",
        f"Your code{SHOWN}Thanks",
        f"code {SHOWN}",
        f"CODE-{SHOWN}",
        f"Code is {SHOWN.lower().replace('-', ' ')}",
        f"“{SHOWN}”",
        f"{SHOWN}\u200b",
        f"https://ledger.example.com/invite?code={SHOWN}",
        "x" * 200 + f" {SHOWN} " + "y" * 90,
    ],
)
def test_code_is_among_the_candidates_of_a_text(typed: str) -> None:
    assert NATIVE in list_pasted_codes(typed)


@pytest.mark.parametrize(
    "typed",
    [
        SHOWN,
        NATIVE,
        SHOWN.lower(),
        f" {SHOWN}  ",
        FULL_WIDTH,
        SHOWN.replace("-", " – "),
        "PROMO2024",
        "promo 2024",
        "",
        "qr code",
    ],
)
def test_text_that_is_a_code_alone_is_left_as_it_is(typed: str) -> None:
    assert list_pasted_codes(typed) == [typed]


@pytest.mark.parametrize("typed", [f"SPRING26-{SHOWN}", f"Code: SPRING26-{SHOWN}", f"spring26 {SHOWN}"])
def test_code_with_a_prefix_is_a_candidate(typed: str) -> None:
    """A prefix may also be a word of the text, so the code without it is one too."""
    candidates = [normalize_code(text) for text in list_pasted_codes(typed)]

    assert {f"SPRING26{NATIVE}", NATIVE} <= {*candidates}


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("Code: PROMO2024", "PROMO2024"),
        ("您的兑换码：PROMO-2024。", "PROMO-2024"),
        ("兑换码为 promo2024", "PROMO2024"),
        ("Your voucher code is PROMO2024, enjoy", "PROMO2024"),
    ],
)
def test_legacy_code_is_what_follows_its_label(typed: str, code: str) -> None:
    """It has no check character by which it could be recognized elsewhere."""
    assert list_pasted_codes(typed) == [code]


@pytest.mark.parametrize("seed", range(50))
def test_number_of_candidates_is_bounded(seed: int) -> None:
    draw = random.Random(seed)
    text = "".join(draw.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ-码: ", k=TYPED_LENGTH_MAX))

    assert 1 <= len(list_pasted_codes(text)) <= CANDIDATES_MAX + 1


def test_announced_code_stands_for_a_text_whatever_passes_the_check_by_chance() -> None:
    """One character of it is wrong. With the letters before it there are seven places; one in 37 passes."""
    draws = random.Random(5)
    for _ in range(300):
        code = generate_code(draws)
        wrong = code[:3] + ("A" if code[3] != "A" else "B") + code[4:]

        assert list_pasted_codes(f"My code: {wrong[:10]}-{wrong[10:]}")[-1] == f"{wrong[:10]}-{wrong[10:]}"
