"""Codes in text that a person pasted: `Code: ZVV6-…` from a chat, `您的兑换码：…`, a whole line of an email.

Only forms for people read this. The API takes a code as it is.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import Final

from domain.values.identifiers import NATIVE_LENGTH, TYPED_LENGTH_MAX, MalformedCodeError, is_native, normalize_code

CANDIDATES_MAX: Final = 16
"""Most codes that one text may hold. Where a text has no code, one place in 37 passes the check nevertheless."""
_CHARACTER: Final = re.compile(r"[0-9A-Z]")
_PREFIX: Final = re.compile(r"[0-9A-Z][0-9A-Z-]*\Z")
_LABELED: Final = re.compile(r"(?:CODE|码|碼)\s*(?:[:=]|是|为|為|\bIS\b)\s*([^\s,;。]+)")
"""A legacy code has no check character, so it is looked for only behind a word that announces it."""


def list_pasted_codes(typed: str) -> list[str]:
    """Return the texts that may be the code in what was typed, the likelier first; the last is taken if none exists.

    That is what follows a word that announces a code, if there is one: another place may pass the check by chance. A
    text without anything else than a code is returned alone, as it was typed.
    """
    text = _unify(typed[: TYPED_LENGTH_MAX + 1])
    native = list(islice(dict.fromkeys(_find_native(text)), CANDIDATES_MAX))
    if (label := _LABELED.search(text)) is not None:
        return list(dict.fromkeys((*native, label[1])))
    try:
        is_only_code = native == [normalize_code(typed)]
    except MalformedCodeError:
        return native or [typed]
    return [typed] if is_only_code else [*native, typed]


def _unify(typed: str) -> str:
    """Return the text in capitals, with plain hyphens and spaces, and without characters that cannot be seen."""
    kinds = ((character, unicodedata.category(character)) for character in unicodedata.normalize("NFKC", typed).upper())
    return "".join({"Pd": "-", "Cf": "", "Cc": " "}.get(kind, character) for character, kind in kinds)


def _find_native(text: str) -> Iterator[str]:
    """Yield the native codes in a text, each first behind the prefix that it may have."""
    places = [match.start() for match in _CHARACTER.finditer(text)]
    characters = "".join(text[place] for place in places)
    for start in range(len(characters) - NATIVE_LENGTH + 1):
        code = normalize_code(characters[start : start + NATIVE_LENGTH])
        if is_native(code):
            prefix = _PREFIX.search(text[: places[start]])
            if prefix:
                yield prefix[0].replace("-", "") + code
            yield code
