"""The tests mirror the tree: a module's test is found by its path, or `tested_elsewhere.txt` says where it is."""

import ast
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.sources import nodes_of, parse

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("domain", "projections", "api", "workers")
CODE_LINES_MAX: Final = 30
LIST: Final = Path(__file__).with_name("tested_elsewhere.txt")


def count_code_lines(text: str) -> int:
    """Count the lines that hold code: no blank lines, comments and docstrings."""
    strings: set[int] = set()
    for node in nodes_of(parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            strings |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and line.lstrip()[0] != "#" and number not in strings for number, line in lines)


def mirrored_tests(module: Path) -> list[Path]:
    """Return where a module's test may be; `tests/integration` has `cli` and `web` next to `api`."""
    own = module.with_name(f"test_{module.name}")
    short = own.relative_to("api") if own.parts[:2] in {("api", "cli"), ("api", "web")} else own
    return [Path("tests/unit") / own, Path("tests/integration") / short]


def find_unmirrored() -> set[str]:
    """Find modules with more than `CODE_LINES_MAX` lines of code and no test at their path."""
    modules = [path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return {
        module.as_posix()
        for module in modules
        if module.name != "__init__.py"
        and count_code_lines((ROOT / module).read_text("utf-8")) > CODE_LINES_MAX
        and not any((ROOT / path).exists() for path in mirrored_tests(module))
    }


def read_list() -> dict[str, str]:
    """Read which test covers a module instead, by module."""
    lines = [line for line in LIST.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split(": ", 1) for line in lines)


def test_every_module_has_a_test_at_its_path_or_names_the_one_that_covers_it() -> None:
    """A module that needs no entry any more loses it."""
    missing, listed = find_unmirrored(), set(read_list())

    assert sorted(missing - listed) == [], f"write tests/unit/<path>/test_<module>.py, or name its test in {LIST.name}"
    assert sorted(listed - missing) == [], f"remove from {LIST.name}: it has a test at its path, or is gone"


def test_listed_tests_exist() -> None:
    """An entry leads to a file or a folder of tests."""
    assert [test for test in read_list().values() if not (ROOT / test).exists()] == []


@pytest.mark.parametrize(
    ("module", "tests"),
    [
        (
            "domain/model/access.py",
            ["tests/unit/domain/model/test_access.py", "tests/integration/domain/model/test_access.py"],
        ),
        (
            "api/web/admin/forms.py",
            ["tests/unit/api/web/admin/test_forms.py", "tests/integration/web/admin/test_forms.py"],
        ),
    ],
)
def test_mirrored_path_is_that_of_the_module(module: str, tests: list[str]) -> None:
    """Under `unit` to the letter, under `integration` without `api` for pages and commands."""
    assert [path.as_posix() for path in mirrored_tests(Path(module))] == tests


def test_code_lines_are_counted_without_words() -> None:
    """A long docstring makes no module large."""
    assert count_code_lines('"""Words.\n\nMore words.\n"""\n\n# why\nX = 1\n"""What X is."""\ny = "text"\n') == 2
