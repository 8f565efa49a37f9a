"""Which codes of a file stand there more than once, in eight bytes of memory per line."""

import hashlib
from array import array
from collections.abc import Iterable
from typing import Final

PARTS: Final = 256
"""Hashes are sorted part by part, since sorting makes an object of each."""
HASH_BYTES: Final = 8


def short_hash(text: str) -> int:
    """A number that stands for a text; two texts have the same once in billions of files, and are compared then."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=HASH_BYTES).digest())


def repeated(texts: Iterable[str]) -> set[int]:
    """Hashes of the texts that come more than once."""
    parts = [array("Q") for _ in range(PARTS)]
    for text in texts:
        number = short_hash(text)
        parts[number % PARTS].append(number)
    found: set[int] = set()
    for part in parts:
        before = None
        for number in sorted(part):
            if number == before:
                found.add(number)
            before = number
    return found
