"""What a mistyped code or email address may have been: look-alike characters, one wrong character, groups of a code.

Staff who see only the end of a code must not be able to find out the rest character by character. Therefore parts of
codes are compared by whole groups of four, so that each group costs a million tries however many groups are known.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Final

from domain.values.identifiers import CROCKFORD, GROUP_LENGTH, NATIVE_LENGTH, is_native

SPELLINGS_MAX: Final = 256
"""Most spellings of one text that are tried; a text with more look-alikes is tried as it is."""
GROUPED_LENGTH_MIN: Final = 2 * GROUP_LENGTH
"""Shortest code with groups that may be compared. Staff see half of a shorter one."""
DOMAIN_ERRORS_MAX: Final = 2

_LOOK_ALIKES: Final = ("0O", "1IL")
_FOLD: Final = str.maketrans("OIL", "011")


def list_spellings(text: str) -> list[str]:
    """Return all texts that look like this one: each O may be a 0, and each of I, L and 1 another of them.

    The text itself comes first. It stands alone if there are more than `SPELLINGS_MAX`.
    """
    choices = [next((alike for alike in _LOOK_ALIKES if character in alike), character) for character in text]
    number = 1
    for choice in choices:
        number *= len(choice)
    if number > SPELLINGS_MAX:
        return [text]
    return [text, *(spelling for spelling in map("".join, product(*choices)) if spelling != text)]


def list_corrected_codes(text: str) -> list[str]:
    """Return the native codes from which this text differs by one error.

    An error is a wrong, missing or extra character, or a swap of two. A longer text begins with a prefix, which stays.
    Crockford's check character excludes all but about one candidate in 37.
    """
    if len(text) <= NATIVE_LENGTH + 1:
        return sorted(_list_corrected(text))
    starts = [len(text) - length for length in (NATIVE_LENGTH - 1, NATIVE_LENGTH, NATIVE_LENGTH + 1)]
    return sorted({text[:start] + code for start in starts for code in _list_corrected(text[start:])})


def split_groups(normal: str) -> tuple[str, ...]:
    """Return the whole groups of four of a code's normal form, counted from its end, with look-alikes folded."""
    text = normal[-NATIVE_LENGTH:] if is_native(normal[-NATIVE_LENGTH:]) else normal
    if len(text) < GROUPED_LENGTH_MIN:
        return ()
    return _split_whole(text.translate(_FOLD), len(text) % GROUP_LENGTH)


def has_groups(normal: str, part: str) -> bool:
    """Return whether the whole groups of a part follow each other in a code.

    A part may begin or end within a group; those characters are not compared.
    """
    folded = normal.translate(_FOLD)
    runs = [run for run in _list_runs(part) if run[0] in folded]
    groups = split_groups(normal) if runs else ()
    return any(groups[start : start + len(run)] == run for run in runs for start in range(len(groups) - len(run) + 1))


def is_similar_domain(typed: str, domain: str) -> bool:
    """Return whether two domains differ by at most two errors: wrong, missing or extra characters, or swaps."""
    return abs(len(typed) - len(domain)) <= DOMAIN_ERRORS_MAX and count_errors(typed, domain) <= DOMAIN_ERRORS_MAX


@lru_cache(maxsize=16)
def _list_runs(part: str) -> list[tuple[str, ...]]:
    """Return the whole groups of a part, counted from its beginning and from its end."""
    folded = part.translate(_FOLD)
    return [run for offset in {0, len(folded) % GROUP_LENGTH} if (run := _split_whole(folded, offset))]


def _split_whole(text: str, offset: int) -> tuple[str, ...]:
    starts = range(offset, len(text) - GROUP_LENGTH + 1, GROUP_LENGTH)
    return tuple(text[start : start + GROUP_LENGTH] for start in starts)


def _list_corrected(text: str) -> set[str]:
    if abs(len(text) - NATIVE_LENGTH) > 1:
        return set()
    folded = text.translate(_FOLD)
    return {code for code in _list_edits(folded) if code != folded and is_native(code)}


def _list_edits(text: str) -> Iterator[str]:
    """Yield the texts of a native code's length that differ from this one by one error."""
    for index in range(len(text) + 1):
        before, after = text[:index], text[index:]
        if len(text) > NATIVE_LENGTH:
            yield before + after[1:]
        elif len(text) < NATIVE_LENGTH:
            yield from (before + character + after for character in CROCKFORD)
        elif after:
            yield from (before + character + after[1:] for character in CROCKFORD)
            yield before + after[1:2] + after[:1] + after[2:]


def count_errors(first: str, second: str) -> int:
    """Return the distance of two short texts by optimal string alignment."""
    earlier: list[int] = []
    previous = list(range(len(second) + 1))
    for row, left in enumerate(first, start=1):
        current = [row]
        for column, right in enumerate(second, start=1):
            least = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (left != right))
            if row > 1 and column > 1 and left == second[column - 2] and first[row - 2] == right:
                least = min(least, earlier[column - 2] + 1)
            current.append(least)
        earlier, previous = previous, current
    return previous[-1]
