"""Retired words are not used: in identifiers, texts, docstrings and comments, in tests and benchmarks too."""

import re
from typing import Final

import pytest

from tests.architecture import vocabulary
from tests.architecture.sources import CODE, ROOMS, list_modules, parse, read, trees
from tests.architecture.vocabulary import PROSE, bound_names, findings_in, messages, notes, prose_in, retired_in

MAX_FIRST: Final = {
    "max_attempts": "a setting",
    "max_retries": "Celery's",
    "max_uses": "a term of codes",
    "max_per_person": "a term of campaigns",
    "max_per_day": "a term of campaigns",
}
"""Names of others that begin with `max`; ours end with it, as the settings do."""
UNCLEAR: Final = re.compile(r"test_((a|an|the|who|it|what(?!_if))_|(\w+_)?(said|told|anybody|by_hand|gives_back)(_|$))")
"""Names of tests that do not begin with their subject, or that let software speak."""


def test_no_retired_word_is_used() -> None:
    """In identifiers, as names of caught exceptions, and in every text that people read."""
    trees(*CODE)
    in_modules = [finding for path in list_modules(*CODE) for finding in findings_in(path, read(path))]
    texts = {path: text for path, text in vocabulary.list_texts().items() if path != "docs/glossary.md"}
    in_texts = [
        f"{path}: {phrase}: write {PROSE[phrase]}" for path, text in texts.items() for phrase in prose_in([text])
    ]

    assert in_modules == []
    assert in_texts == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def told_of(code, hint_text): ...", {"told", "hint"}),
        ("class StaffDesk: ...", {"desk"}),
        ("for item in rows: self.wish = item", {"item", "wish"}),
        ("import a.b as found", {"found"}),
        ("def find_reservation(code): rows_found = 1; items = 2; actor = 3", set()),
    ],
)
def test_retired_words_in_names_are_seen(source: str, words: set[str]) -> None:
    """Anywhere in an identifier; or, of participles, where they stand without a noun."""
    assert words == {word for name in bound_names(parse(source)) for word in retired_in(name)}


def test_contract_names_with_retired_words_are_in_their_modules() -> None:
    listed = [entry.split(": ") for entry in vocabulary.CONTRACT_NAMES]

    assert [(path, name) for path, name in listed if name not in bound_names(parse(read(path)))] == []


def test_retired_words_in_texts_are_seen() -> None:
    """In pages, translated texts and messages, but not in keys of catalogs and in docstrings."""
    catalog = vocabulary.without_keys('msgid "office"\nmsgstr "sent anew"\n')
    source = "def f():\n    'Mend it.'\n    log.warning('no sign of life')\n    say_error(f'{name} is away')\n"

    counts = prose_in(["Whoever asks is answered for ever.\n", catalog, *messages(parse(source))])

    assert counts == {"(?:is|are) away": 1, "anew": 1, "for ever": 1, "signs? of life": 1, "whoever": 1}


def test_retired_words_in_docstrings_and_comments_are_seen() -> None:
    """A name in backticks is no word of ours."""
    source = '"""Nobody asks."""\n# made anew\nA = 1\n"""As `nobody` is."""\nlog.info("sent once more")\n'

    assert prose_in(notes(source)) == {"anew": 1, "nobody": 1}


def test_retired_words_are_reported_with_the_word_to_write() -> None:
    source = '"""Sent anew."""\ntry: ...\nexcept OSError as away: log("put off")\nexcept OSError as error: wish = 1\n'
    expected = [
        "a.py: wish: write request, options, query",
        "a.py: except ... as away: write error",
        "a.py: anew: write again",
        "a.py: put off: write deferred",
    ]

    assert list(findings_in("domain/a.py", source)) == [f"domain/{line}" for line in expected]
    assert list(findings_in("tests/a.py", source)) == [f"tests/{line}" for line in expected[:-1]]


def test_names_of_tests_begin_with_their_subject() -> None:
    """A red line of CI is read without the file: `test_<subject>_<behavior>`."""
    names = ("a_use_counts", "what_is_due_is_sent", "error_is_said", "what_if_agrees", "annex_is_read", "use_counts")
    tests = {path: tree for path, tree in trees("tests").items() if "/test_" in path}

    assert [name for name in names if UNCLEAR.match(f"test_{name}")] == list(names[:3])
    assert [(path, name) for path, tree in tests.items() for name in bound_names(tree) if UNCLEAR.match(name)] == []


def test_names_of_maxima_end_with_max() -> None:
    """`LISTED_MAX` and `listed_max`, in one order of words."""
    first = {
        (path, name)
        for path, tree in trees(*ROOMS).items()
        for name in bound_names(tree)
        if name.strip("_").lower().startswith("max_") and name not in MAX_FIRST
    }

    assert first == set()
