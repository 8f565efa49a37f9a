"""Commands are thin and explain themselves: exit codes of the enum, changes by use cases, and help in plain English."""

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from api.cli.app import app
from tests.architecture.sources import nodes_of, parse
from tests.architecture.vocabulary import prose_in

ROOT = Path(__file__).parents[2]
COMMAND_MODULES = (
    *sorted((ROOT / "api/cli").rglob("*.py")),
    ROOT / "projections/__main__.py",
    ROOT / "projections/rebuild/run.py",
    ROOT / "projections/verification/run.py",
)


def literal_exit_codes(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of numbers that are returned or passed to `sys.exit`, and of constants named EXIT_..."""
    for node in nodes_of(tree):
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
    for node in nodes_of(tree):
        if isinstance(node, ast.Attribute) and node.attr == "execute":
            owner = node.value
            if "ledger" in {getattr(owner, "attr", None), getattr(owner, "id", None)}:
                yield node.lineno


def test_exit_codes_are_members_of_the_enum() -> None:
    """If this fails, return a member of `projections.terminal.exit_codes.ExitCode`."""
    literals = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in COMMAND_MODULES
        for line in literal_exit_codes(parse(path.read_text("utf-8")))
    ]

    assert literals == []


def test_commands_execute_through_use_cases() -> None:
    """If this fails, add a function to `api/use_cases` and call it."""
    offenders = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in COMMAND_MODULES
        for line in executed_commands(parse(path.read_text("utf-8")))
    ]

    assert offenders == []


@pytest.mark.parametrize("text", ["def f():\n    return 4", "import sys\nsys.exit(3)", "EXIT_FOUND = 1"])
def test_literal_exit_code_is_found(text: str) -> None:
    """Each form of a number that is not in the enum."""
    assert list(literal_exit_codes(parse(text)))


@pytest.mark.parametrize("text", ["x.storage.ledger.execute([y])", "give(ledger.execute)"])
def test_executed_command_is_found(text: str) -> None:
    """Called, or passed on."""
    assert list(executed_commands(parse(text)))


VERB = re.compile(
    r"(Add|Cancel|Change|Check|Choose|Compare|Connect|Create|End|Erase|Explain|Export|Import|Invite|Issue|List|Manage|Migrate|Move"
    r"|Pause|Preview|Print|Re-encrypt|Rebuild|Record|Refund|Reject|Remove|Replace|Resolve|Restore|Resume|Revoke|Run|Send|Set|Show|Start|Write)\b"
)
HELP_WIDTH = 72
EXAMPLE = re.compile(r"^Example: `ledger (.*)`$")


def list_commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    """Yield every command and group of `ledger` with its words."""
    if isinstance(command, TyperGroup):
        if path:
            yield " ".join(path), command
        for name, child in command.commands.items():
            yield from list_commands(child, (*path, name))
    elif isinstance(command, TyperCommand):
        yield " ".join(path), command


COMMANDS = dict(list_commands(typer.main.get_command(app)))


def first_line_errors(text: str) -> Iterator[str]:
    """Yield what is wrong with the first line of a help text."""
    first, *rest = text.split("\n")
    if len(first) > HELP_WIDTH:
        yield f"{len(first)} characters, at most {HELP_WIDTH}"
    if not first.endswith("."):
        yield "no period at the end"
    if not VERB.match(first):
        yield f"begins with {first.partition(' ')[0]!r}: write an imperative, and add a new verb to VERB"
    if rest and rest[0]:
        yield "the sentence goes on in the second line"


def parameter_errors(name: str, text: str) -> Iterator[str]:
    """Yield what is wrong with the help of an option or argument."""
    if not text.endswith(".") or not (
        text[:1].isupper() or text.split(" ", maxsplit=1)[0].rstrip(":") in {"csv", "sent"}
    ):
        yield f"{name}: write one sentence with a capital letter and a period"


@pytest.mark.parametrize("words", COMMANDS)
def test_command_help_begins_with_a_short_imperative(words: str) -> None:
    """In the list of `ledger --help`, and as the beginning of the command's own help."""
    assert list(first_line_errors(inspect.cleandoc(COMMANDS[words].help or ""))) == []


@pytest.mark.parametrize("words", COMMANDS)
def test_command_help_explains_each_option_in_plain_words(words: str) -> None:
    """Each option and argument has a sentence, and no text has a retired word."""
    command = COMMANDS[words]
    own = [parameter for parameter in command.params if isinstance(parameter, (TyperArgument, TyperOption))]
    texts = {str(parameter.name): parameter.help or "" for parameter in own}

    assert [error for name, text in texts.items() for error in parameter_errors(name, text)] == []
    assert prose_in([command.help or "", *texts.values()]) == {}


@pytest.mark.parametrize("words", COMMANDS)
def test_example_of_a_command_can_be_run(words: str) -> None:
    """It names this command, and options that the command has."""
    examples = [
        match[1] for line in (COMMANDS[words].help or "").splitlines() if (match := EXAMPLE.match(line.strip()))
    ]
    for example in examples:
        assert example.startswith(f"{words} ")
        arguments = shlex.split(example)[len(words.split()) :]
        command = COMMANDS[words]
        command.make_parser(typer.Context(command, **command.context_settings)).parse_args([*arguments])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Refund one reservation.", 0),
        ("Give it back.", 1),
        ("Refund one reservation", 1),
        ("Refund one reservation that hangs because the mail server is unavailable.", 1),
        ("Refund one\nreservation.", 2),
    ],
)
def test_first_line_of_help_that_breaks_the_rule_is_found(text: str, count: int) -> None:
    """Too long, without a period, without a verb, or broken."""
    assert len(list(first_line_errors(text))) == count
