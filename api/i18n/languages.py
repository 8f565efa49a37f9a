"""The languages of pages and emails, one row each. docs/how-to/add-a-language.md says what else a language needs."""

from typing import Final, NamedTuple, get_args

from domain.ports import Language

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)


class LanguageRow(NamedTuple):
    """What the catalogs of a language do not say.

    Attributes:
        name: In the language itself, for the language chooser.
        tag: BCP 47 tag for the `lang` attribute, by which browsers choose fonts and voices.
        space: What separates two sentences.
    """

    name: str
    tag: str
    space: str


LANGUAGE_ROWS: Final[dict[Language, LanguageRow]] = {
    "zh": LanguageRow("中文", "zh-Hans", ""),
    "en": LanguageRow("English", "en", " "),
}
INTERNATIONAL: Final[Language] = "en"
"""Language of pages for browsers that ask for other languages only: more people read it than the default language."""


def find_language(name: object) -> Language | None:
    """Return the language of a name such as `en`; None for any other text."""
    return next((language for language in LANGUAGES if language == name), None)
