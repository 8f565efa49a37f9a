"""How hard a code is to guess, by its shape alone.

Whether a code exists is what a guesser wants to know, so no rate limit may depend on a lookup. The shape is enough:
native codes cannot be guessed, and the length of a legacy code bounds its entropy.
"""

import math
from typing import Final, Literal

from domain.values.identifiers import NATIVE_LENGTH, candidate_codes, is_native

CodeStrength = Literal["native", "long", "short"]
"""`native`: generated here, with or without a prefix. `long`, `short`: any other code, which may be a legacy code."""

MIN_STRONG_BITS: Final = 80
"""Bits that a code needs so that it cannot be guessed (see `identifiers`). Legacy codes with fewer are short."""

_ALPHABETS: Final = tuple(
    (frozenset(characters), math.log2(len(characters)))
    for characters in ("0123456789", "0123456789ABCDEF", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
)


def classify_code(normal: str) -> CodeStrength:
    """Return the strength of a code in normal form."""
    if is_native(candidate_codes(normal)[-1][-NATIVE_LENGTH:]):
        return "native"
    return "long" if entropy_bits(normal) >= MIN_STRONG_BITS else "short"


def entropy_bits(normal: str) -> float:
    """Return the most entropy that a text of this shape can have, in bits.

    The characters count as if each were drawn from their alphabet. Only ASCII letters and digits count: people choose
    separators and words of other scripts.
    """
    characters = [character for character in normal if character.isascii() and character.isalnum()]
    return next(bits for alphabet, bits in _ALPHABETS if alphabet.issuperset(characters)) * len(characters)
