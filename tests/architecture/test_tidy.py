"""The repository keeps the house style of `tidy`, and each of its checks is able to fail."""

import ast
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePath
from typing import Final

import pytest

from tests.architecture import tidy
from tests.architecture.sources import CODE, ROOMS, ROOT, find, list_modules, parse, read, trees

NAMING_THEM: Final = {"tests/architecture/tidy.py", "tests/architecture/test_tidy.py"}
"""The two files that must write out what no other may hold."""
MODULES_MAX: Final = 20
VAGUE: Final = frozenset(
    {
        *("base", "common", "core", "extra", "general", "helper", "helpers", "lib", "many", "misc"),
        *("shared", "stuff", "things", "tool", "tools", "util", "utils", "utilities", "various"),
    }
)
"""Words that could name any module."""

Check = Callable[[str, str], Iterator[str]]


@cache
def texts() -> dict[str, str]:
    """Return the texts of all files of the repository by path, but for what .gitignore names."""
    ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines())]
    by_path = {}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in ignored)]
        for path in (Path(folder, name) for name in files if name != ".git"):
            try:
                by_path[path.relative_to(ROOT).as_posix()] = path.read_text("utf-8")
            except UnicodeDecodeError:
                continue
    return by_path


@pytest.mark.parametrize(
    ("check", "folders", "suffix", "advice"),
    [
        (tidy.long_file, "", ".py", "move one idea of the file into another module"),
        (tidy.long_functions, "", ".py", "move a part of the function into another"),
        (tidy.silenced_without_reason, "", ".py", "give the reason"),
        (tidy.skipped_tests, "", ".py", "such a test promises nothing"),
        (tidy.leftovers, "", "", "remove it"),
        (tidy.places, "", "", "name no path of one machine, and no place to fetch packages from"),
        (tidy.past_the_terminal, ROOMS, ".py", "show it by the functions of projections/terminal/"),
        (tidy.markup, ROOMS, ".py", "show it by the functions of projections/terminal/"),
    ],
)
def test_repository_is_tidy(check: Check, folders: str | tuple[str, ...], suffix: str, advice: str) -> None:
    """Terminals neither read what people and servers typed as markup nor obey it."""
    trees(*CODE)
    files = {path: text for path, text in texts().items() if path.startswith(folders) and path.endswith(suffix)}
    offenses = [offense for path in sorted(files.keys() - NAMING_THEM) for offense in check(path, files[path])]

    assert files
    assert offenses == [], advice


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
    assert (len(list(check(path, wrong))), len(list(check(path, good)))) == (1, 0)


def test_copies_of_files_are_leftovers() -> None:
    assert [len(list(tidy.leftovers(path, ""))) for path in ("a.py.orig", "a.rej", "a.py")] == [1, 1, 0]


def test_packages_are_small_and_state_their_purpose() -> None:
    """A module is found by `ls`. A package that outgrows the bound is split by idea."""
    packages = defaultdict(set)
    for path in map(PurePath, list_modules(*ROOMS, "benchmarks")):
        packages[path.parent].add(path.name)
    large = [str(package) for package, names in packages.items() if len(names - {"__init__.py"}) > MODULES_MAX]
    purposes = {package: ast.get_docstring(parse(read(f"{package}/__init__.py"))) or "" for package in packages}
    silent = [str(package) for package, text in purposes.items() if not text.partition("\n")[0].endswith(".")]

    assert len(packages) > 50
    assert large == [], "move the modules of one idea into a package in this one"
    assert silent == [], "say in __init__.py what the package is for"


def vague_modules(paths: tuple[str, ...]) -> list[str]:
    return [path for path in paths if VAGUE & set(PurePath(path).stem.split("_"))]


def test_modules_are_named_by_their_subjects() -> None:
    """If a module has several, each gets a module."""
    assert vague_modules(("api/util.py", "api/page_helpers.py", "api/utility_bills.py")) == [
        *("api/util.py", "api/page_helpers.py")
    ]
    assert vague_modules(list_modules(*ROOMS, "tests", "benchmarks")) == []


def test_no_public_class_has_a_name_twice() -> None:
    """A name found by searching is the one that was meant."""
    paths = defaultdict(set)
    for path, tree in trees(*ROOMS).items():
        for node in find(tree, ast.ClassDef):
            if node in tree.body and not node.name.startswith("_"):
                paths[node.name].add(path)

    assert {name: owners for name, owners in paths.items() if len(owners) > 1} == {}
