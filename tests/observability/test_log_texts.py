"""Log calls: warnings and errors say what failed, and each field that a call names reaches the line.

A text that negates, such as "nobody was erased", reads as a success.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from api.http.dependency_status import PARTS
from projections.telemetry.log_setup import FIELDS

ROOT: Final = Path(__file__).parents[2]
LOG_CALL: Final = re.compile(r"(self\.)?_?log(ger)?\.(debug|info|warning|error|exception|critical)")
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


def fields() -> Iterator[tuple[str, str]]:
    """Every field that a log call adds to its line, with the call's file."""
    for folder in ("api", "domain", "projections", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and LOG_CALL.fullmatch(ast.unparse(node.func)):
                    for extra in (word.value for word in node.keywords if word.arg == "extra"):
                        yield from ((str(path.relative_to(ROOT)), key) for key in keys_of(extra, tree))


def keys_of(node: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The keys of a dict: written there, in a variable, or by a function of the module; else the expression itself."""
    match node:
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                yield from keys_of(value, tree) if key is None else [ast.literal_eval(key)]
        case ast.Name(id=name):
            yield from keys_in_variable(name, tree)
        case ast.Call(func=ast.Name(id=name)):
            made = [item for item in ast.walk(tree) if isinstance(item, ast.FunctionDef) and item.name == name]
            for item in (inner for function in made for inner in ast.walk(function)):
                if isinstance(item, ast.Return) and item.value is not None:
                    yield from keys_of(item.value, tree)
        case _:
            yield ast.unparse(node)


def keys_in_variable(name: str, tree: ast.Module) -> Iterator[str]:
    """The keys that a module puts into the dicts of this name."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                yield from keys_of(value, tree)
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                yield from keys_of(value, tree)
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=found), slice=key)]) if found == name:
                yield ast.literal_eval(key)


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


def test_log_call_names_no_field_that_the_log_leaves_out() -> None:
    """Else an operator reads that a row was refused, but not which one or why."""
    found = list(fields())

    assert len(found) > 20
    assert [(place, field) for place, field in found if field not in FIELDS] == []
