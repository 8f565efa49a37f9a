"""The repository keeps the house style of `tidy`, and each of its checks is able to fail."""

import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from tests.architecture import tidy

ROOT = Path(__file__).parents[2]

NAMING_THEM = {"tests/architecture/tidy.py", "tests/architecture/test_tidy.py"}
"""The two files that must write out what no other may hold."""

Check = Callable[[str, str], Iterator[str]]

LONGER: dict[str, int] = {}
"""Lines of files (`path`) and functions (`path::name`) that may be longer than the rest: a ratchet.

The number may fall, never rise, and an entry goes when it is no longer needed. A file gives its reason at its
top, a function in its docstring.
"""


@cache
def texts(*suffixes: str) -> dict[str, str]:
    """Texts of all files of the repository by path, but for what .gitignore names.

    Args:
        suffixes: Endings of the paths wanted; none for every text file.
    """
    ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines())]
    by_path = {}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in ignored)]
        for path in (Path(folder, name) for name in files if name != ".git" and name.endswith(suffixes or ("",))):
            try:
                by_path[path.relative_to(ROOT).as_posix()] = path.read_text("utf-8")
            except UnicodeDecodeError:
                continue
    return by_path


def offenses(check: Check, files: dict[str, str]) -> list[str]:
    """What a check finds in the files, in the order of their paths."""
    return [offense for path in sorted(files) for offense in check(path, files[path])]


@pytest.mark.parametrize("check", [tidy.long_file, tidy.long_functions])
def test_files_and_functions_fit(check: Check) -> None:
    """No file and no function is longer than its limit, or than what the ratchet holds for it."""
    too_long = [entry for entry in offenses(check, texts(".py")) if entry.split(": ")[0] not in LONGER]

    assert too_long == [], "move one idea of the file into another module, or a part of the function into another"


def test_ratchet_only_falls() -> None:
    """Each entry of the ratchet is still needed, and is exactly as long as it says."""
    both = offenses(tidy.long_file, texts(".py")) + offenses(tidy.long_functions, texts(".py"))
    lines = {name: int(rest.split(" ")[0]) for name, rest in (entry.split(": ", 1) for entry in both)}

    assert {name: lines.get(name) for name in LONGER} == LONGER


@pytest.mark.parametrize(
    ("check", "suffixes"),
    [
        (tidy.silenced_without_reason, (".py",)),
        (tidy.skipped_tests, (".py",)),
        (tidy.leftovers, ()),
        (tidy.places, ()),
    ],
)
def test_nothing_is_left_lying_about(check: Check, suffixes: tuple[str, ...]) -> None:
    """No note to oneself, no check silenced without a reason, no skipped test, no path of one machine."""
    files = {path: text for path, text in texts(*suffixes).items() if path not in NAMING_THEM}

    assert offenses(check, files) == [], "remove it, or give the reason that the check asks for"


@pytest.mark.parametrize("check", [tidy.past_the_terminal, tidy.markup])
def test_product_code_shows_text_on_terminals_only_through_the_terminal_modules(check: Check) -> None:
    """So text that people and servers typed is neither read as markup nor obeyed by a terminal."""
    product = ("api/", "domain/", "projections/", "workers/")
    files = {path: text for path, text in texts(".py").items() if path.startswith(product)}

    assert offenses(check, files) == [], "show it by the functions of projections/terminal/"


@pytest.mark.parametrize(
    ("check", "path", "wrong", "good"),
    [
        (tidy.past_the_terminal, "api/a.py", "from rich.table import Table\n", "from richer import Table\n"),
        (tidy.past_the_terminal, "api/a.py", "typer.echo(f'{note}')\n", "say(f'{note}')\n"),
        (tidy.past_the_terminal, "api/a.py", "print(note)\n", "sys.stderr.write('interrupted\\n')\n"),
        (tidy.past_the_terminal, "api/a.py", "self._out.write(note)\n", "file.write(note)\n"),
        (tidy.markup, "api/a.py", "f'[bold]{code}[/bold]'\n".replace("[/bold]", ""), "f'[a]{code}'\n"),
        (tidy.markup, "api/a.py", "Console(markup=True)\n", "Console(markup=False)\n"),
        (tidy.markup, "api/a.py", "Text.from_markup(note)\n", "Text(note)\n"),
        (tidy.long_file, "domain/a.py", "\n" * 601, "\n" * 600),
        (tidy.long_file, "tests/test_a.py", "\n" * 601, "\n" * 600),
        (tidy.long_functions, "a.py", "def f():\n" + " pass\n" * 60, "def f():\n" + " pass\n" * 59),
        (tidy.leftovers, "a.sql", "-- FIXME later\n", "-- fixed\n"),
        (tidy.leftovers, "a.md", "<" * 7 + " HEAD\n", "<" * 8 + "\n"),
        (tidy.leftovers, "a.py", "# as DESIGN 9.2 has it\n", "# as invariant 2 has it\n"),
        (tidy.silenced_without_reason, "a.py", "f()  # noqa: A001\n", "f()  # noqa: A001 - their name\n"),
        (tidy.silenced_without_reason, "a.py", "f()  # type: ignore\n", "f()  # type: ignore  # no types\n"),
        (tidy.skipped_tests, "a.py", "@pytest.mark.skip\ndef f(): ...\n", "rows.skip\n"),
        (tidy.places, "a.md", "see /home/someone/x\n", "see /healthz and ~/x\n"),
        (tidy.places, "a.lock", "# https://" + "pypi" + ".org/simple\n", "# via pytest\n"),
    ],
)
def test_each_check_distinguishes_bad_from_good(check: Check, path: str, wrong: str, good: str) -> None:
    """A check finds exactly one offense in the bad sample and none in the good one."""
    assert (len(list(check(path, wrong))), len(list(check(path, good)))) == (1, 0)


def test_copies_of_files_are_leftovers() -> None:
    """What a merge or an editor left is no source."""
    assert [len(list(tidy.leftovers(path, ""))) for path in ("a.py.orig", "a.rej", "a.py")] == [1, 1, 0]
