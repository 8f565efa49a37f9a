"""Finds the codes or addresses that a file has more than once, in eight bytes of memory per line."""

import hashlib
from array import array
from collections.abc import Iterable
from typing import Final

PARTS: Final = 256
"""Hashes are sorted in parts, since sorting creates an object for each."""
HASH_BYTES: Final = 8


def _hash(text: str) -> int:
    """Return a hash of a text. Callers compare texts of equal hashes, which differ once in billions of files."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=HASH_BYTES).digest())


class FirstLines:
    """The texts that a file has more than once, each with the first line that has it.

    Args:
        texts: All of them, in the order of the lines.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._repeated_hashes, self._lines = _find_repeated(texts), dict[str, int]()

    def find(self, text: str, line: int) -> int | None:
        """Return the first line with a text; None if no other line has it. Lines are asked for in their order."""
        is_repeated = bool(self._repeated_hashes) and _hash(text) in self._repeated_hashes
        return self._lines.setdefault(text, line) if is_repeated else None


def _find_repeated(texts: Iterable[str]) -> set[int]:
    """Return the hashes of the texts that occur more than once."""
    parts = [array("Q") for _ in range(PARTS)]
    for text in texts:
        number = _hash(text)
        parts[number % PARTS].append(number)
    repeated_hashes: set[int] = set()
    for part in parts:
        before = None
        for number in sorted(part):
            if number == before:
                repeated_hashes.add(number)
            before = number
    return repeated_hashes
