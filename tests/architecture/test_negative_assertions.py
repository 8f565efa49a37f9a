"""A unit test that asserts the absence of a text can fail: the product has that text, or the test itself puts it in."""

import ast
from functools import cache
from typing import Final

import pytest

from tests.architecture.sources import ROOMS, ROOT, find, parse, read, trees

TEXT_FILES: Final = frozenset({".py", ".po", ".html", ".sql", ".js", ".css", ".xml", ".svg", ".conf"})
SIGNS_MAX: Final = 2
"""Texts up to this length are signs, such as an end of line, rather than words."""


@cache
def read_product() -> str:
    """Read everything from which the product could take a text, in lower case."""
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in TEXT_FILES]
    return "\n".join(path.read_text("utf-8") for path in paths).casefold()


def find_impossible_texts(test: str) -> list[str]:
    """Find texts of `assert "..." not in ...` that occur neither in the product nor a second time in the test."""
    asserted = [node.test for node in find(parse(test), ast.Assert)]
    compared = [node for each in asserted for node in ast.walk(each) if isinstance(node, ast.Compare)]
    absent = [each.left for each in compared if isinstance(each.ops[0], ast.NotIn)]
    texts = [each.value for each in absent if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    long = [text for text in texts if len(text) > SIGNS_MAX]
    return [text for text in long if text.casefold() not in read_product() and test.count(text) == 1]


@pytest.mark.parametrize("folder", ["unit", "properties"])
def test_texts_that_tests_expect_to_be_absent_could_be_there(folder: str) -> None:
    """A text that was renamed in the product is absent forever: assert that it is there in another state, too."""
    tests = [path for path in trees(f"tests/{folder}") if "/test_" in path]

    assert tests
    assert {path: texts for path in tests if (texts := find_impossible_texts(read(path)))} == {}


def test_absent_text_without_an_origin_is_found() -> None:
    assert find_impossible_texts("assert 'look for our pigeon' not in page") == ["look for our pigeon"]
    assert find_impossible_texts("assert 'Retry-After' not in headers") == []
    assert find_impossible_texts("ask('our pigeon')\nassert 'our pigeon' not in page") == []
