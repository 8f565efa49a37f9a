"""Commands and the API explain themselves: each in the imperative, each option, field and parameter in a sentence."""

import base64
import inspect
import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import pytest
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from api.cli.app import app
from api.main import create_app
from api.schemas.field_descriptions import FIELD_DESCRIPTIONS, describe_field
from api.settings import ApiSettings
from tests.architecture.vocabulary import prose_in

NO_KEYS: Final = "1:" + base64.b64encode(bytes(32)).decode()
SUMMARY_LENGTH_MAX: Final = 60
VERB: Final = re.compile(
    r"(Add|Cancel|Change|Check|Choose|Compare|Connect|Correct|Create|Delete|Disconnect|End|Erase|Explain"
    r"|Export|Follow|Get|Import|Invite|Issue|List|Manage|Migrate|Move|Pause|Preview|Print|Re-encrypt"
    r"|Rebuild|Record|Redeem|Refund|Reject|Remove|Replace|Report|Resolve|Restore|Resume|Reveal|Revoke|Rotate|Run"
    r"|Send|Set|Show|Start|Upload|Write)\b"
)
HELP_WIDTH: Final = 72
EXAMPLE: Final = re.compile(r"^Example: `ledger (.*)`$")


def list_commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    if isinstance(command, TyperGroup):
        if path:
            yield " ".join(path), command
        for name, child in command.commands.items():
            yield from list_commands(child, (*path, name))
    elif isinstance(command, TyperCommand):
        yield " ".join(path), command


@cache
def commands() -> dict[str, TyperCommand | TyperGroup]:
    return dict(list_commands(typer.main.get_command(app)))


def first_line_errors(text: str) -> Iterator[str]:
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
    if not text.endswith(".") or not (
        text[:1].isupper() or text.split(" ", maxsplit=1)[0].rstrip(":") in {"csv", "sent"}
    ):
        yield f"{name}: write one sentence with a capital letter and a period"


def test_help_of_commands_explains_each_option_in_plain_words() -> None:
    """Its first line is also that of the list of `ledger --help`. No text has a retired word."""
    errors = {}
    for words, command in commands().items():
        own = [parameter for parameter in command.params if isinstance(parameter, (TyperArgument, TyperOption))]
        texts = {str(parameter.name): parameter.help or "" for parameter in own}
        errors[words] = [
            *first_line_errors(inspect.cleandoc(command.help or "")),
            *(error for name, text in texts.items() for error in parameter_errors(name, text)),
            *prose_in([command.help or "", *texts.values()]),
        ]

    assert len(errors) > 50
    assert {words: lines for words, lines in errors.items() if lines} == {}


def test_example_of_a_command_can_be_run() -> None:
    examples = [
        (words, match[1])
        for words, command in commands().items()
        for line in (command.help or "").splitlines()
        if (match := EXAMPLE.match(line.strip()))
    ]

    assert [(words, example) for words, example in examples if not example.startswith(f"{words} ")] == []
    for words, example in examples:
        command = commands()[words]
        arguments = shlex.split(example)[len(words.split()) :]
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
    assert len(list(first_line_errors(text))) == count


Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    """The document of an application without a database."""
    keys = {"secret_key": "-", "peppers": NO_KEYS, "master_keys": NO_KEYS}
    app = create_app(ApiSettings.model_validate({"DATABASE_URL": "postgresql:///none", **keys}))
    return app.openapi()


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def summary_errors(summary: str) -> list[str]:
    errors = [] if VERB.match(summary) else ["write an imperative, and add a new verb to VERB"]
    errors += ["it is too long"] if len(summary) > SUMMARY_LENGTH_MAX else []
    return errors + (["it ends with a period"] if summary.endswith(".") else [])


def described(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield every parameter and every field of a schema, with the description's owner and name."""
    for _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            yield "parameter", parameter["name"], {**parameter["schema"], **parameter}
    for owner, schema in document["components"]["schemas"].items():
        for name, field in schema.get("properties", {}).items():
            yield owner, name, field


def test_summary_of_every_operation_is_a_short_imperative(document: Document) -> None:
    """Lists of operations and names of generated clients begin with it."""
    summaries = {place: operation["summary"] for place, operation in operations(document)}

    assert {place: errors for place, text in summaries.items() if (errors := summary_errors(text))} == {}


@pytest.mark.parametrize(
    "text", ["What happened", "List codes.", "List codes in the order in which each of them was issued at first"]
)
def test_summary_that_breaks_a_rule_is_found(text: str) -> None:
    assert len(summary_errors(text)) == 1


def test_every_operation_field_and_parameter_is_described(document: Document) -> None:
    """If this fails, write a `description`, or a line in `api/schemas/field_descriptions.py`."""
    silent = [place for place, operation in operations(document) if not operation.get("description")]
    silent += [f"{owner}.{name}" for owner, name, field in described(document) if not field.get("description")]

    assert silent == []


def test_every_shared_description_is_used(document: Document) -> None:
    """If this fails, delete the line: nothing has a field of this name any more."""
    used = {describe_field(owner, name) for owner, name, _ in described(document)}

    assert [name for name, text in FIELD_DESCRIPTIONS.items() if text not in used] == []


def test_api_document_has_no_retired_word(document: Document) -> None:
    texts = re.findall(r"'(?:summary|description)': (?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")", str(document))

    assert len(texts) > 300
    assert prose_in(one or other for one, other in texts) == {}
