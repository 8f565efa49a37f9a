"""How hard a code is to guess, told by its shape alone.

Whether a code exists is what a guesser wants to know, so no limit may depend on looking it up. What a text looks like
tells enough: codes made here are beyond guessing, and of an older system's codes the length bounds what they hold.
"""

import math
from typing import Final, Literal

from domain.values.identifiers import NATIVE_LENGTH, candidate_codes, is_native

CodeStrength = Literal["native", "long", "short"]
"""`native`: made here, alone or behind a prefix. `long`, `short`: anything else, which may be an old code."""

MIN_STRONG_BITS: Final = 80
"""Bits that a code needs so that it cannot be guessed (see `identifiers`). Legacy codes with fewer are short."""

_ALPHABETS: Final = tuple(
    (frozenset(characters), math.log2(len(characters)))
    for characters in ("0123456789", "0123456789ABCDEF", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
)


def schema_fingerprint(normal: str) -> CodeStrength:
    """The shape of a code's normal form."""
    if is_native(candidate_codes(normal)[-1][-NATIVE_LENGTH:]):
        return "native"
    return "long" if entropy_bits(normal) >= MIN_STRONG_BITS else "short"


def entropy_bits(normal: str) -> float:
    """The most that a text of this shape can hold, in bits: its letters, as if each were drawn from their alphabet.

    Only ASCII letters and digits count: marks between them, and words of another script, are chosen by people.
    """
    characters = [character for character in normal if character.isascii() and character.isalnum()]
    return next(bits for alphabet, bits in _ALPHABETS if alphabet.issuperset(characters)) * len(characters)
