"""Warnings and errors say what failed: a text that negates, such as "nobody was erased", reads as a success."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from api.http.dependency_status import PARTS

ROOT: Final = Path(__file__).parents[2]
LOGGING: Final = re.compile(r"(self\.)?_?log(ger)?\.(warning|error|exception|critical)")
HIDING: Final = re.compile(
    r"\b(nobody|nothing|none|somebody|everybody|no|left to|could not|all right)\b", re.IGNORECASE
)
FAILURE: Final = re.compile(
    r"\b(failed|refused|interrupted|missing|unavailable|unsafe|broken|differs|disabled|detected|ended|full|again)\b"
)
"""Of each text one word says what is wrong, or that it no longer is."""
BY_FIELDS: Final = {"task", "%s"}
"""Texts of lines whose fields say how it went: the outcome of a task, and the parts of `api.http.dependency_status`."""


def texts() -> Iterator[tuple[str, str]]:
    """Every text of a warning or an error, with its place."""
    for folder in ("api", "domain", "projections", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and LOGGING.fullmatch(ast.unparse(node.func)):
                    said = node.args[0]
                    text = str(said.value) if isinstance(said, ast.Constant) else "%s"
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def trouble_of(text: str) -> str:
    """What is wrong with a text."""
    if found := HIDING.search(text):
        return f"{found[0]!r} hides what failed: {text}"
    return "" if text in BY_FIELDS or FAILURE.search(text) else f"it does not say what failed: {text}"


def test_log_texts_say_what_failed() -> None:
    """Each in the code, and each that names a missing component."""
    found = list(texts())

    assert len(found) > 20
    assert [(place, trouble) for place, text in found if (trouble := trouble_of(text))] == []
    assert [trouble for text in PARTS.values() if (trouble := trouble_of(text))] == []


@pytest.mark.parametrize("text", ["nobody was forgotten", "nothing is signed: %s", "a letter waits", "it is all right"])
def test_log_text_check_finds_texts_that_hide_a_failure(text: str) -> None:
    """Each of these was an error once."""
    assert trouble_of(text)
