"""Retired words become fewer: each has a count in vocabulary.json that may only fall."""

import json
from pathlib import Path

import pytest

from tests.architecture import vocabulary
from tests.architecture.sources import parse
from tests.architecture.vocabulary import APPROVE, BASELINE, aliases, bound_names, messages, prose_in, retired_in


def test_retired_words_are_used_no_more_often_than_before() -> None:
    """In identifiers, as names of caught exceptions, and in every text that people read."""
    left = list(vocabulary.risen(vocabulary.count_all(), json.loads(BASELINE.read_text("utf-8"))))

    assert left == [], f"write the other word; `{APPROVE.removesuffix(' --approve')} WORD` prints where it is"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def told_of(code, hint_text): ...", ["told", "hint"]),
        ("class StaffDesk: ...", ["desk"]),
        ("for item in rows: self.wish = item", ["item", "wish"]),
        ("import a.b as found", ["found"]),
        ("def find_reservation(code): rows_found = 1; items = 2; actor = 3", []),
    ],
)
def test_retired_words_in_names_are_seen(source: str, words: list[str]) -> None:
    """Anywhere in an identifier; or, of participles, where they stand without a noun."""
    assert words == [word for name in bound_names(parse(source)) for word in retired_in(name)]


def test_contract_names_with_retired_words_are_in_their_modules() -> None:
    """A name that is no longer bound there leaves the list."""
    bound = {f"{path}: {name}" for path, tree in vocabulary.trees(vocabulary.ROOT) for name in bound_names(tree)}

    assert set(vocabulary.CONTRACT_NAMES) <= bound


def test_exceptions_of_other_names_are_seen() -> None:
    """`error` is the one name."""
    caught = "try: ...\nexcept OSError as {}: ...\nexcept ValueError: ..."

    assert tuple(list(aliases(parse(caught.format(name)))) for name in ("away", "error")) == (["away"], [])


def test_retired_words_in_texts_are_seen(tmp_path: Path) -> None:
    """In pages, translated texts and messages, but not in keys of catalogs and in docstrings."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("Whoever asks is answered for ever.\n")
    (tmp_path / "api" / "i18n").mkdir(parents=True)
    (tmp_path / "api" / "i18n" / "a.po").write_text('msgid "office"\nmsgstr "sent anew"\n')
    source = "def f():\n    'Mend it.'\n    log.warning('no sign of life')\n    say_error(f'{name} is away')\n"
    lines = messages(parse(source))

    counts = prose_in([*(text for _, text in vocabulary.read_texts(tmp_path)), *lines])

    assert counts == {"(?:is|are) away": 1, "anew": 1, "for ever": 1, "signs? of life": 1, "whoever": 1}


def test_retired_words_in_docstrings_and_comments_are_seen() -> None:
    """A name in backticks is no word of ours."""
    source = '"""Nobody asks."""\n# made anew\nA = 1\n"""As `nobody` is."""\nlog.info("sent once more")\n'

    assert prose_in(vocabulary.notes(source)) == {"anew": 1, "nobody": 1}


def test_a_count_that_rose_is_reported_with_the_word_to_write() -> None:
    """A word that was gone may not come back either."""
    old, new = {"identifiers": {"told": 2, "desk": 1}}, {"identifiers": {"told": 3, "wish": 1, "desk": 1}}

    assert list(vocabulary.risen(new, old)) == [
        "identifiers: told is used 3 times, at most 2: write message, description",
        "identifiers: wish is used 1 times, at most 0: write request, options, query",
    ]


def test_approving_lowers_counts_and_raises_none() -> None:
    """What is gone leaves the baseline; what rose stays as it was."""
    old, new = {"identifiers": {"told": 2, "desk": 3, "wish": 1}}, {"identifiers": {"told": 4, "desk": 1}}

    assert vocabulary.lowered(new, old) == {"identifiers": {"told": 2, "desk": 1}}
