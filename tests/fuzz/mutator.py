"""Inputs that are nearly right: seeds, altered a few times each. One seed of the generator gives one sequence."""

import random
from collections.abc import Callable, Sequence

ODD = (
    *("", " ", "\t", "\n", "\r\n", "\x00", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u200b", "\u202e", "\ufeff"),
    *("\ufffd", "\ud800", "\U0010ffff", "e\u0301", "\u00df", "\u0130", "\u1e9e", "\ufb03", "\u2164", "\uff21"),
    *("\uff10", "\u0660", "-", "\u2010", "\u00ad", "@", "@@", ".", "..", "+", "=", "==", ":", "://"),
    *("|", "/", "../", "\\", "%00", "%", "?", "'", '"', "`", "<", ">", "&", "${x}"),
    *("{{x}}", "{", "}", "[", "]", "[[[[", ",", ";", "\\u0000", "\\ud800", "0", "-1", "1e400", "9" * 40),
    *("NaN", "Infinity", "null", "true", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59", "xn--", "xn--a", "a" * 70),
    *("\u4e00" * 70, "urn:uuid:", "00000000-0000-0000-0000-000000000000", "=1+1", "'"),
)
"""What parsers stumble over."""
LENGTH_MAX = 2_000
REPEATS = (2, 40, 400)


class Mutator:
    """Alters texts.

    Args:
        seed: Of its choices.
    """

    def __init__(self, seed: int) -> None:
        self.choice = random.Random(seed)
        self._ways: Sequence[Callable[[str], str]] = (
            self._drop,
            self._insert,
            self._insert,
            self._repeat,
            self._swap,
            self._flip,
            self._cut,
        )

    def text(self, seeds: Sequence[str]) -> str:
        """One of the seeds, altered up to six times; sometimes spliced with another one."""
        text = self.choice.choice(seeds)
        if self.choice.random() < 0.1:
            other = self.choice.choice(seeds)
            text = text[: self._place(text)] + other[self._place(other) :]
        for _ in range(self.choice.randint(0, 6)):
            text = self.choice.choice(self._ways)(text)
        return text[:LENGTH_MAX]

    def octets(self, seeds: Sequence[str]) -> bytes:
        """The same as octets, of which some are no UTF-8."""
        raw = bytearray(self.text(seeds).encode("utf-8", "surrogatepass"))
        if raw and self.choice.random() < 0.3:
            for _ in range(self.choice.randint(1, 4)):
                raw[self.choice.randrange(len(raw))] = self.choice.randrange(256)
        return bytes(raw)

    def _place(self, text: str) -> int:
        return self.choice.randint(0, len(text))

    def _drop(self, text: str) -> str:
        at = self._place(text)
        return text[:at] + text[at + self.choice.randint(1, 4) :]

    def _insert(self, text: str) -> str:
        at = self._place(text)
        return text[:at] + self.choice.choice(ODD) + text[at:]

    def _repeat(self, text: str) -> str:
        at = self._place(text)
        piece = text[at : at + self.choice.randint(1, 8)]
        return text[:at] + piece * self.choice.choice(REPEATS) + text[at:]

    def _swap(self, text: str) -> str:
        first, second = sorted((self._place(text), self._place(text)))
        return text[:first] + text[first:second][::-1] + text[second:]

    def _flip(self, text: str) -> str:
        at = self._place(text)
        return (
            text[:at]
            + chr(self.choice.choice((self.choice.randrange(128), self.choice.randrange(0x3000))))
            + text[at + 1 :]
        )

    def _cut(self, text: str) -> str:
        return text[: self._place(text)]
