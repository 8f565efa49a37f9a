"""Retired words are not used: in identifiers, texts, docstrings and comments, in tests and benchmarks too."""

from pathlib import Path

import pytest

from tests.architecture import vocabulary
from tests.architecture.sources import parse
from tests.architecture.vocabulary import COMMAND, aliases, bound_names, messages, prose_in, retired_in


def test_no_retired_word_is_used() -> None:
    """In identifiers, as names of caught exceptions, and in every text that people read."""
    left = list(vocabulary.findings(vocabulary.count_all()))

    assert left == [], f"write the other word; `{COMMAND} WORD` prints where it is"


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


def test_retired_words_are_reported_with_the_word_to_write() -> None:
    """The report names the kind of text, the count and the replacement."""
    counts = {"identifiers": {"told": 3, "wish": 1}, "notes": {"nobody": 2}, "prose": {}}

    assert list(vocabulary.findings(counts)) == [
        "identifiers: told is used 3 times: write message, description",
        "identifiers: wish is used 1 times: write request, options, query",
        "notes: nobody is used 2 times: write the actor: no process, no operator",
    ]


def test_retired_words_are_counted_in_every_folder(tmp_path: Path) -> None:
    """A docstring of a test counts like one of the rooms."""
    for folder in ("domain", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text('"""Sent anew."""\n')

    assert vocabulary.count_all(tmp_path)["notes"] == {"anew": 2}
