"""Finds the codes that a file has more than once, in eight bytes of memory per line."""

import hashlib
from array import array
from collections.abc import Iterable
from typing import Final

PARTS: Final = 256
"""Hashes are sorted in parts, since sorting creates an object for each."""
HASH_BYTES: Final = 8


def short_hash(text: str) -> int:
    """Return a hash of a text. Callers compare texts of equal hashes, which differ once in billions of files."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=HASH_BYTES).digest())


def find_repeated(texts: Iterable[str]) -> set[int]:
    """Return the hashes of the texts that occur more than once."""
    parts = [array("Q") for _ in range(PARTS)]
    for text in texts:
        number = short_hash(text)
        parts[number % PARTS].append(number)
    repeated_hashes: set[int] = set()
    for part in parts:
        before = None
        for number in sorted(part):
            if number == before:
                repeated_hashes.add(number)
            before = number
    return repeated_hashes
