"""Languages: which one a caller is answered in, and the message catalogs.

The catalogs are gettext .po files, locales/<language>/LC_MESSAGES/*.po, read once per process without a build step.
Their msgids are stable keys (`refusal.CODE_EXHAUSTED.title`), not English sentences. The Chinese texts are as much part
of the contract as the English ones, so neither language is the source of the other, and a changed text in one never
orphans the other. A test holds the catalogs to the same keys and the same placeholders.
"""

import json
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from api.i18n.languages import LANGUAGES
from domain.ports import Language

LOCALES: Final = Path(__file__).with_name("locales")

HEADER_LENGTH_MAX = 256
"""Characters of an Accept-Language header that are read; browsers send fewer than 100."""
HEADERS_CACHED_MAX = 1024
"""Headers whose result is cached: few are in use, and each redeem looks one up."""

_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_RANGE = re.compile(r"\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*", re.IGNORECASE)


# Babel reads the same, in 200 ms of CPU for each language: more than all the rest of a command. The pattern repeats
# over the escapes of a text, not over its characters: that took four times as long.
_PO_LINE = re.compile(r'(?:(msgid|msgstr) )?"([^"\\]*(?:\\["\\nt][^"\\]*)*)"')


class CatalogError(ValueError):
    """A catalog is malformed."""


class Translator:
    """The sentences of one language."""

    __slots__ = ("_sentences", "language")

    def __init__(self, language: Language, sentences: Mapping[str, str]) -> None:
        self.language = language
        self._sentences = sentences

    def __call__(self, key: str, **facts: object) -> str:
        """Return the sentence of a key with its placeholders filled in; the key itself if no catalog has it.

        Raises:
            KeyError: A placeholder of the sentence is not among the facts.
        """
        sentence = self._sentences.get(key, key)
        return sentence.format_map(facts) if facts else sentence

    def knows(self, key: str) -> bool:
        """Return whether the catalog has a sentence for this key."""
        return key in self._sentences


def catalog_paths(language: Language) -> list[Path]:
    """Return the catalog files of a language in order of their names. No two of them share a key.

    Raises:
        FileNotFoundError: The package has no catalogs, so it must not start.
    """
    paths = sorted((LOCALES / language / "LC_MESSAGES").glob("*.po"))
    if not paths:
        raise FileNotFoundError(f"no catalog of {language} under {LOCALES}")
    return paths


@cache
def translator(language: Language) -> Translator:
    """Return the translator of a language; its catalogs are read on the first call.

    Raises:
        FileNotFoundError: There is no catalog.
        CatalogError: A catalog is malformed.
    """
    return Translator(language, {key: text for path in catalog_paths(language) for key, text in read_catalog(path)})


def read_catalog(path: Path) -> list[tuple[str, str]]:
    """Read the messages of a .po file that have a text, in its order.

    The file may hold comments, and pairs of `msgid` and `msgstr` with continuation lines: neither plurals nor contexts.

    Raises:
        CatalogError: A line is something else.
    """
    messages: list[dict[str, str]] = []
    keyword = ""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line or line.isspace() or line.startswith("#"):
            continue
        match = _PO_LINE.fullmatch(line)
        if match is None or not (messages or match[1] == "msgid"):
            raise CatalogError(f"{path}:{number} is not a line of a catalog")
        keyword, text = match[1] or keyword, match[2]
        if match[1] == "msgid":
            messages.append({})
        if "\\" in text:
            text = json.loads(f'"{text}"')
        messages[-1][keyword] = messages[-1].get(keyword, "") + text
    return [(message["msgid"], message["msgstr"]) for message in messages if message["msgid"] and message.get("msgstr")]


def translate(key: str, language: Language, **facts: object) -> str:
    """Return the sentence of a key in a language, its placeholders filled from the facts.

    Raises:
        KeyError: A placeholder of the sentence is not among the facts.
    """
    return translator(language)(key, **facts)


def pick_language(accept_language: str | None, default: Language, *, for_others: Language | None = None) -> Language:
    """Return the language that a caller prefers, by the quality values of RFC 9110 section 12.5.4.

    A range counts for a language if its first subtag is that language's (`zh-Hans-CN` is zh); `*` stands for languages
    that no range names; malformed ranges are ignored. Of equal weights the first one wins.

    Args:
        accept_language: The header's value; only its first 256 characters are read.
        default: The result if the header names none of our languages.
        for_others: Takes the place of the default if the header names other languages only.
    """
    if not accept_language:
        return default
    header = accept_language[:HEADER_LENGTH_MAX]
    # The weight of the last language may have been cut off.
    return _picked(header if header == accept_language else header.rpartition(",")[0], default, for_others)


@lru_cache(maxsize=HEADERS_CACHED_MAX)
def _picked(
    header: str,
    default: Language,
    for_others: Language | None,
) -> Language:
    weights = _parse_weights(header.split(","))
    if for_others is not None and any(weight for name, weight in weights.items() if name != "*"):
        default = for_others
    best, best_weight = default, 0.0
    for name, weight in weights.items():
        for language in _meant(name, weights, default):
            if weight > best_weight:
                best, best_weight = language, weight
    if best_weight == 0.0 and weights.get(default) == 0.0:
        return next((other for other in LANGUAGES if weights.get(other) != 0.0), default)
    return best


def _parse_weights(ranges: list[str]) -> dict[str, float]:
    """Return weights by language or `*`, in the order of the header; a language has the weight of its best range."""
    weights: dict[str, float] = {}
    for language_range in ranges:
        name, *parameters = (part.strip() for part in language_range.split(";"))
        if not _RANGE.fullmatch(name) or len(parameters) > 1:
            continue
        weight = _WEIGHT.fullmatch(parameters[0]) if parameters else None
        if parameters and weight is None:
            continue
        primary = name.partition("-")[0].lower()
        weights[primary] = max(float(weight[1]) if weight else 1.0, weights.get(primary, 0.0))
    return weights


def _meant(name: str, weights: dict[str, float], default: Language) -> list[Language]:
    """Return the languages that a name in the header stands for, best first."""
    if name != "*":
        return [language for language in LANGUAGES if language == name]
    ordered = sorted(LANGUAGES, key=lambda language: language != default)
    return [language for language in ordered if language not in weights]
