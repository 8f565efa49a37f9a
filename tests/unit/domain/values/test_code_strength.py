"""What a code's text alone tells of how hard it is to guess."""

import random

import pytest

from domain.values.code_strength import classify_code, entropy_bits
from domain.values.identifiers import generate_code, normalize_code


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
