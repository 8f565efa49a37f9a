"""How people read domains whose stored form is ASCII: in Unicode, unless that could be taken for another domain.

Browsers decide so for each label: Chromium (https://chromium.googlesource.com/chromium/src/+/main/docs/idn.md) and
Firefox (https://wiki.mozilla.org/IDN_Display_Algorithm) show Unicode if the scripts of a label may stand together by
UTS 39 5.2, "Highly Restrictive" (https://www.unicode.org/reports/tr39/#Restriction_Level_Detection), and Chromium not
if all its letters look like Latin ones. The rules here are stricter where Python has no data for theirs: a label that
they refuse is shown as it is stored.
"""

import unicodedata
from functools import lru_cache
from typing import Final

import idna

from domain.values.email_domains import SUBDOMAINS, DomainNames, split_domains
from domain.values.identifiers import MalformedEmailError, domain_to_ascii

ACE_PREFIX: Final = "xn--"
"""Begins a label whose Unicode form is another one (RFC 5890 2.3.2.1)."""
NAMES_CACHED_MAX: Final = 1_024
SCRIPTS: Final = frozenset(
    {
        *("ARABIC", "ARMENIAN", "BENGALI", "BOPOMOFO", "CJK", "CYRILLIC", "DEVANAGARI", "ETHIOPIC", "GEORGIAN"),
        *("GREEK", "GUJARATI", "GURMUKHI", "HANGUL", "HEBREW", "HIRAGANA", "KANNADA", "KATAKANA", "KHMER", "LAO"),
        *("LATIN", "MALAYALAM", "MYANMAR", "ORIYA", "SINHALA", "TAMIL", "TELUGU", "THAANA", "THAI", "TIBETAN"),
    }
)
"""Recommended scripts (UAX 31, table 5), as the names of their characters begin."""
COMPATIBLE_SCRIPTS: Final = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)
"""Scripts that one label may mix."""
LATIN_LOOKALIKES: Final = frozenset(
    "\N{CYRILLIC SMALL LETTER A}\N{CYRILLIC SMALL LETTER ES}\N{CYRILLIC SMALL LETTER KOMI DE}"
    "\N{CYRILLIC SMALL LETTER IE}\N{CYRILLIC SMALL LETTER SHHA}\N{CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I}"
    "\N{CYRILLIC SMALL LETTER JE}\N{CYRILLIC SMALL LETTER PALOCHKA}\N{CYRILLIC SMALL LETTER O}"
    "\N{CYRILLIC SMALL LETTER ER}\N{CYRILLIC SMALL LETTER QA}\N{CYRILLIC SMALL LETTER DZE}"
    "\N{CYRILLIC SMALL LETTER WE}\N{CYRILLIC SMALL LETTER HA}\N{CYRILLIC SMALL LETTER U}"
    "\N{CYRILLIC SMALL LETTER SOFT SIGN}\N{CYRILLIC SMALL LETTER HARD SIGN}\N{CYRILLIC SMALL LETTER GHE}"
    "\N{CYRILLIC SMALL LETTER PE}\N{CYRILLIC SMALL LETTER IZHITSA}\N{CYRILLIC SMALL LETTER SHA}"
    "\N{CYRILLIC SMALL LETTER ABKHASIAN CHE}"
    "\N{GREEK SMALL LETTER ALPHA}\N{GREEK SMALL LETTER IOTA}\N{GREEK SMALL LETTER KAPPA}\N{GREEK SMALL LETTER NU}"
    "\N{GREEK SMALL LETTER RHO}\N{GREEK SMALL LETTER UPSILON}\N{GREEK SMALL LETTER OMEGA}"
    "\N{GREEK SMALL LETTER ETA}\N{GREEK SMALL LETTER OMICRON}\N{GREEK SMALL LETTER TAU}"
)
"""Letters of other scripts that look like Latin ones, so that a whole label of them reads as another name."""
DOTLESS_I: Final = "\N{LATIN SMALL LETTER DOTLESS I}"
LATIN_ENDS: Final = "\N{LATIN SMALL LETTER Y WITH STROKE}"
"""Last letter of the block Latin Extended-B; behind it are phonetic letters, some of which look like plain ones."""
VIETNAMESE_BEGINS, VIETNAMESE_ENDS = "\u1e00", "\u1eff"
"""The block Latin Extended Additional."""


@lru_cache(maxsize=NAMES_CACHED_MAX)
def show_domain(name: str) -> str:
    """Return a name of a domain, perhaps behind `*.`, in Unicode where it cannot be taken for another; else as it is.

    What it returns names the same domain where it is typed.
    """
    if ACE_PREFIX not in name:
        return name
    prefix = SUBDOMAINS if name.startswith(SUBDOMAINS) else ""
    stored = name.removeprefix(prefix)
    shown = ".".join(map(_show_label, stored.split(".")))
    try:
        # A name behind `*.` may be a single label, and a domain has at least two.
        is_same = domain_to_ascii(f"a.{shown}") == f"a.{stored}"
    except MalformedEmailError:
        return name
    return prefix + shown if is_same else name


def describe_domain(name: str) -> str:
    """Return a name for people, followed by its stored form if that differs."""
    return name if (shown := show_domain(name)) == name else f"{shown} ({name})"


def show_domains(domains: DomainNames) -> str:
    """Return the names of a set as people type them, with a space between two of them."""
    return " ".join(map(show_domain, split_domains(domains)))


def describe_domains(domains: DomainNames) -> str:
    """Return the names of a set for people, each followed by its stored form if that differs."""
    return ", ".join(map(describe_domain, split_domains(domains)))


def _show_label(label: str) -> str:
    if not label.startswith(ACE_PREFIX):
        return label
    try:
        shown = idna.decode(label)
    except (idna.IDNAError, UnicodeError):
        return label
    return shown if _is_unmistakable(shown) else label


def _is_unmistakable(label: str) -> bool:
    """Return whether scripts and letters of a label are those of one way to write, and not lookalikes of Latin ones."""
    characters = [char for char in label if not char.isascii() or char.isalpha()]
    scripts = set(map(_script_of, characters))
    if not scripts <= SCRIPTS or (len(scripts) > 1 and not any(scripts <= mix for mix in COMPATIBLE_SCRIPTS)):
        return False
    if DOTLESS_I in label or any(map(_is_phonetic, characters)):
        return False
    return not LATIN_LOOKALIKES.issuperset(characters)


def _is_phonetic(char: str) -> bool:
    """Return whether a character is Latin, and only of phonetic alphabets."""
    is_vietnamese = VIETNAMESE_BEGINS <= char <= VIETNAMESE_ENDS
    return char > LATIN_ENDS and not is_vietnamese and _script_of(char) == "LATIN"


def _script_of(char: str) -> str:
    """Return the first word of a character's name, which is the script of letters; Han is CJK."""
    word = unicodedata.name(char, "").partition(" ")[0]
    return {"IDEOGRAPHIC": "CJK", "KATAKANA-HIRAGANA": "KATAKANA"}.get(word, word)
