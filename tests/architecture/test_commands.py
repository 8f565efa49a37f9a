"""Commands are thin: their exit codes are members of `ExitCode`, and what they change is changed by a use case."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND_MODULES = (
    *sorted((ROOT / "api/cli").rglob("*.py")),
    ROOT / "projections/__main__.py",
    ROOT / "projections/rebuild/command.py",
    ROOT / "projections/verification/command.py",
)


def literal_exit_codes(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of numbers that are returned or passed to `sys.exit`, and of constants named EXIT_..."""
    for node in ast.walk(tree):
        match node:
            case ast.Return(value=ast.Constant(value=int(number))) if number and not isinstance(number, bool):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="exit"), args=[ast.Constant(value=int(number))]) if number:
                yield node.lineno
            case ast.Assign(targets=[ast.Name(id=name)]) if name.startswith("EXIT_"):
                yield node.lineno
            case _:
                continue


def executed_commands(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that reach `ledger.execute`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "execute":
            owner = node.value
            if "ledger" in {getattr(owner, "attr", None), getattr(owner, "id", None)}:
                yield node.lineno


def test_exit_codes_are_members_of_the_enum() -> None:
    """If this fails, return a member of `projections.terminal.exit_codes.ExitCode`."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in COMMAND_MODULES
        for line in literal_exit_codes(ast.parse(path.read_text("utf-8")))
    ]

    assert found == []


def test_commands_execute_through_use_cases() -> None:
    """If this fails, add a function to `api/use_cases` and call it."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in COMMAND_MODULES
        for line in executed_commands(ast.parse(path.read_text("utf-8")))
    ]

    assert found == []


@pytest.mark.parametrize("text", ["def f():\n    return 4", "import sys\nsys.exit(3)", "EXIT_FOUND = 1"])
def test_literal_exit_code_is_found(text: str) -> None:
    """Each form of a number that is not in the enum."""
    assert list(literal_exit_codes(ast.parse(text)))


@pytest.mark.parametrize("text", ["x.storage.ledger.execute([y])", "give(ledger.execute)"])
def test_executed_command_is_found(text: str) -> None:
    """Called, or passed on."""
    assert list(executed_commands(ast.parse(text)))
