"""Which language a caller is answered in."""

import pytest

from api.i18n.catalogs import HEADER_LENGTH_MAX, HEADERS_CACHED_MAX, _picked, pick_language
from api.i18n.languages import INTERNATIONAL
from domain.ports import Language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("zh-Hans-CN", "zh"),
        ("ZH_TW, EN-us", "en"),
        ("en-US,en;q=0.5", "en"),
        ("en;q=0.5, zh;q=0.4", "en"),
        ("en;q=0.4 , zh ; q=0.5", "zh"),
        ("fr, de;q=0.9, en;q=0.1", "en"),
        ("zh;q=0, *;q=0.1", "en"),
        ("zh;q=0.2, en;q=0.2", "zh"),
        ("en;q=0.001, zh;q=0", "en"),
    ],
)
@pytest.mark.parametrize("default", ["zh", "en"])
def test_highest_weight_wins_and_of_equals_the_first(header: str, language: Language, default: Language) -> None:
    picked = pick_language(header, default)

    assert language == picked


@pytest.mark.parametrize(
    "header",
    [None, "", "*", "fr", "fr-FR, de;q=0.7", ";;;", "q=1", "zh;q=2", "en;q=x", "en;q=1;q=1", "\x00\xff", ",,,,", "é"],
)
@pytest.mark.parametrize("default", ["zh", "en"])
def test_unknown_language_leaves_the_default(header: str | None, default: Language) -> None:
    picked = pick_language(header, default)

    assert default == picked


@pytest.mark.parametrize(("default", "other"), [("zh", "en"), ("en", "zh")])
def test_refused_default_gives_the_other(default: Language, other: Language) -> None:
    """Weight 0 means "not this one", and there is only one other."""
    picked = pick_language(f"{default};q=0", default)

    assert other == picked


def test_only_the_beginning_of_a_long_header_is_read() -> None:
    filler = "fr," * (HEADER_LENGTH_MAX // 3)

    assert pick_language(filler + "en", "zh") == "zh"
    assert pick_language("fr," * (HEADER_LENGTH_MAX // 3 - 1) + "en;q=0.9,de", "zh") == "zh"
    assert pick_language("en," + filler * 100, "zh") == "en"


def test_remembered_headers_are_bounded() -> None:
    for number in range(HEADERS_CACHED_MAX + 10):
        pick_language(f"x{number}", "zh")

    assert _picked.cache_info().currsize == HEADERS_CACHED_MAX


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr-FR,fr;q=0.9", "en"),
        ("de, *;q=0.1", "en"),
        ("ja", "en"),
        ("zh-TW, ja", "zh"),
        ("fr, zh;q=0.1", "zh"),
        ("*", "zh"),
        ("fr;q=0", "zh"),
        ("", "zh"),
        (None, "zh"),
    ],
)
def test_browser_of_other_languages_gets_the_international_one(header: str | None, language: Language) -> None:
    """The default is for those that name no language."""
    assert pick_language(header, "zh", for_others=INTERNATIONAL) == language
