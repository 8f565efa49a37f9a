"""The generated modules of the Python client: models by datamodel-code-generator, and a method for each operation.

The OpenAPI document is the only source. Nothing generated is committed: the wheel and the source distribution have it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any, Final, NamedTuple

from tests.contracts.clients.strict_decoder import Document
from tests.packaging.client_operations import Operation, is_refused, list_operations

PACKAGE: Final = "redemption_ledger_client"
FORM: Final = (
    *("title", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"),
    *("exclusiveMinimum", "exclusiveMaximum", "uniqueItems", "default"),
)
"""Bounds, which the API checks: a later release may widen them, so the client does not. Defaults, which it fills in: a
client that sent them would replace, for example, what a campaign names for its codes."""
STRUCT_OPTIONS: Final = (
    *("--input-file-type", "openapi", "--output-model-type", "msgspec.Struct", "--target-python-version", "3.11"),
    *("--output-datetime-class", "datetime", "--use-standard-primitive-types", "--use-standard-collections"),
    *("--use-union-operator", "--collapse-root-models", "--enum-field-as-literal", "all"),
    *("--formatters", "builtin", "--ignore-pyproject", "--disable-timestamp", "--disable-warnings"),
)
"""How models become types of msgspec; the strict models of the tests have these too."""
OPTIONS: Final = (
    *("--openapi-scopes", "schemas", "--base-class", f"{PACKAGE}.model_base.Model", "--use-schema-description"),
    *STRUCT_OPTIONS,
)
VALUES_MAX: Final = 12
"""Values up to which an enumeration is written out in a signature."""
TYPES: Final = {"integer": "int", "boolean": "bool", "uuid": "UUID | str", "date-time": "datetime", "string": "str"}
MODELS_HEAD: Final = '"""Bodies of the API, generated from the OpenAPI document."""\n\n# fmt: off\n# ruff: noqa\n'
TOLERANT: Final = f"""\
from typing import TYPE_CHECKING

if not TYPE_CHECKING:
    from {PACKAGE}.model_base import AnyText as Literal
"""
"""Type checkers see the values of enumerations; one that a newer release added does not make an answer unreadable."""
HEAD: Final = '''\
"""Operations of the API, generated from the OpenAPI document."""

# fmt: off
# ruff: noqa
from __future__ import annotations

from collections.abc import {iterables}, Callable, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from redemption_ledger_client import models as m
from redemption_ledger_client.calls import Call

T = TypeVar("T")


class Send(Protocol):
    """Sends a call and returns its answer."""

    def __call__(self, call: Call, returns: type[T]) -> {answer}: ...
'''


class Argument(NamedTuple):
    """A parameter of a method."""

    name: str
    sent_as: str
    kind: str
    where: str
    default: str | None

    def declare(self) -> str:
        """Return it as a signature has it."""
        return f"{self.name}: {self.kind}" + ("" if self.default is None else f" = {self.default}")


def write_client(document: Document, folder: Path) -> None:
    """Write the generated modules into the folder of the package.

    Raises:
        ValueError: The document lacks an operation that the client names.
    """
    operations = list_operations(document)
    version = document["info"]["version"]
    (folder / "api_version.py").write_text(
        f'"""Version of the API that this client was generated from."""\n\nAPI_VERSION = {version!r}\n', "utf-8"
    )
    _write_models(document, folder)
    for name, is_async in (("operations", False), ("async_operations", True)):
        lines = _write_operations(document, operations, is_async=is_async)
        (folder / f"{name}.py").write_text("\n".join(lines), "utf-8")


def _write_models(document: Document, folder: Path) -> None:
    schemas = {name: _describe(_drop(schema)) for name, schema in document["components"]["schemas"].items()}
    source, target = folder / "openapi.json", folder / "models.py"
    slim = {"openapi": document["openapi"], "info": document["info"], "paths": {}, "components": {"schemas": schemas}}
    source.write_text(json.dumps(slim), "utf-8")
    command = [sys.executable, "-m", "datamodel_code_generator", "--input", str(source), "--output", str(target)]
    subprocess.run([*command, *OPTIONS], check=True, timeout=120)
    source.unlink()
    base = f"from {PACKAGE}.model_base import Model\n"
    text = target.read_text("utf-8").replace(base, base + TOLERANT, 1)
    target.write_text(f"{MODELS_HEAD}{text}", "utf-8")


def _drop(schema: Any, *, are_names: bool = False) -> Any:  # noqa: ANN401 - any part of a schema is a JSON value
    """Return a schema without bounds; a property may have the name of one."""
    if isinstance(schema, list):
        return [_drop(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    left = schema.items() if are_names else [(name, value) for name, value in schema.items() if name not in FORM]
    return {name: _drop(value, are_names=name == "properties" and not are_names) for name, value in left}


def _describe(schema: Document) -> Document:
    """Move the descriptions of properties into that of the schema: else they are repeated in each type."""
    properties = schema.get("properties", {})
    texts = {name: each.pop("description") for name, each in properties.items() if "description" in each}
    listed = "\n".join(f"    {name}: {text}".replace("\n", " ") for name, text in texts.items())
    whole = f"{schema.get('description', '')}\n\nAttributes:\n{listed}" if listed else schema.get("description", "")
    return schema | {"description": whole.strip().replace("\\", "/")}


def _write_operations(document: Document, operations: list[Operation], *, is_async: bool) -> Iterator[str]:
    prefix = "Async" if is_async else ""
    iterables, answer = ("AsyncIterator, Awaitable", "Awaitable[T]") if is_async else ("Iterator", "T")
    yield HEAD.format(iterables=iterables, answer=answer)
    groups: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for operation in operations:
        (tag,) = operation.described["tags"]
        groups[tag] += _write_operation(document, operation, is_async=is_async)
    for tag in document["tags"]:
        name = tag["name"].replace("-", " ").title().replace(" ", "")
        yield f"\nclass {prefix}{name}:\n{_write_text(tag['description'], 4)}\n"
        yield "    def __init__(self, send: Send) -> None:\n        self._send = send\n"
        yield from groups[tag["name"]]
    yield f'\nclass {prefix}Operations:\n    """All operations in groups."""\n'
    yield "    def __init__(self, send: Send) -> None:"
    for tag in document["tags"]:
        name = tag["name"].replace("-", "_")
        yield f"        self.{name} = {prefix}{name.title().replace('_', '')}(send)"
    yield ""


def _write_operation(document: Document, operation: Operation, *, is_async: bool) -> Iterator[str]:
    """Yield its method, those for other formats of the answer, and that which reads all pages."""
    described = operation.described
    name = described["operationId"].removeprefix(described["tags"][0].replace("-", "_") + "_")
    arguments = [argument for each in described.get("parameters", []) if (argument := _read_argument(each))]
    parameters = {each["name"]: each for each in described.get("parameters", [])}
    formats = parameters["format"]["schema"]["enum"] if "format" in parameters else None
    usual = [argument for argument in arguments if argument.name != "format"]
    for number, media in enumerate(operation.successes or [""]):
        returns = _type_of(operation.successes[media]["schema"]) if media else "None"
        chosen = formats[number] if formats and number else None
        suffix = f"_as_{chosen}" if chosen else ""
        yield from _write_method(operation, f"{name}{suffix}", usual, (media, returns), chosen, is_async)
        paged = None if number else _find_pages(document, returns, usual)
        if paged:
            yield from _write_iterator(described, name, usual, paged, is_async=is_async)


def _write_method(
    operation: Operation,
    name: str,
    arguments: list[Argument],
    answer: tuple[str, str],
    chosen: str | None,
    is_async: bool,
) -> Iterator[str]:
    (media, returns), described = answer, operation.described
    body, content_type = _read_body(described)
    ids = [each.declare() for each in arguments if each.where == "path"]
    signature = ", ".join(["self", *ids, *body, *_list_named(arguments, content_type)])
    yield f"    {'async ' if is_async else ''}def {name}({signature}) -> {returns}:"
    yield _write_text(f"{described['summary']}.\n\n{described.get('description', '')}", 8)
    passed = [repr(operation.method), repr(operation.path)]
    for where, option in (("path", "parameters"), ("query", "query"), ("header", "headers")):
        pairs = [f'"{each.sent_as}": {each.name}' for each in arguments if each.where == where]
        pairs += [f'"format": "{chosen}"'] if chosen and where == "query" else []
        if pairs:
            passed.append(f"{option}={{{', '.join(pairs)}}}")
    passed += ["body=body"] * bool(body) + ["content_type=content_type"] * bool(content_type)
    passed += [f"media={media!r}"] * (media != "application/json")
    passed += [
        f"{option}=True" for option in ("is_repeatable", "gone_is_done", "takes_key") if getattr(operation, option)
    ]
    kind = "type(None)" if returns == "None" else returns
    yield f"        return {'await ' if is_async else ''}self._send(Call({', '.join(passed)}), {kind})\n"


def _write_text(text: str, columns: int) -> str:
    """Return a docstring; no text of the document ends it."""
    escaped = text.strip().replace("\\", r"\\").replace('"', r"\"")
    return indent(f'"""{escaped}"""', " " * columns)


def _write_iterator(
    operation: Document, name: str, arguments: list[Argument], paged: tuple[str, str, str], *, is_async: bool
) -> Iterator[str]:
    """Yield a method that reads page after page."""
    cursor, items, kind = paged
    others = [each for each in arguments if each.name != cursor]
    ids = [each.declare() for each in arguments if each.where == "path"]
    position = next(each for each in arguments if each.name == cursor)
    passed = ", ".join(f"{each.name}={each.name}" for each in arguments)
    signature = ", ".join(["self", *ids, *_list_named(others, None)])
    returns = f"{'AsyncIterator' if is_async else 'Iterator'}[{kind}]"
    yield f"    {'async ' if is_async else ''}def {name.replace('list_', 'iter_', 1)}({signature}) -> {returns}:"
    yield _write_text(f"{operation['summary']}: page after page, each item once.", 8)
    yield f"        {cursor}: {position.kind} = {position.default}"
    yield "        while True:"
    yield f"            page = {'await ' if is_async else ''}self.{name}({passed})"
    yield f"            for item in page.{items}:\n                yield item"
    yield f"            if page.next is None:\n                return\n            {cursor} = page.next\n"


def _find_pages(document: Document, returns: str, arguments: list[Argument]) -> tuple[str, str, str] | None:
    """Return the parameter that continues a list, the field with its items and their type; None for no list."""
    schema = document["components"]["schemas"].get(returns.removeprefix("m."), {}).get("properties", {})
    cursor = next((each.name for each in arguments if each.name in {"cursor", "after"}), None)
    if cursor is None or "next" not in schema or "newest" in schema:
        return None
    ((items, each),) = ((name, each) for name, each in schema.items() if each.get("type") == "array")
    return cursor, items, _type_of(each["items"])


def _read_argument(parameter: Document) -> Argument | None:
    schema, sent_as = parameter["schema"], parameter["name"]
    alternatives = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    if is_refused(parameter):
        return None
    kind = " | ".join(map(_name_type, alternatives))
    if parameter["in"] == "path":
        return Argument(sent_as, sent_as, kind, "path", None)
    if parameter["in"] == "header":
        kind = "str"
    name = re.sub(r"\W", "_", sent_as.lower())
    if parameter.get("required"):
        return Argument(name, sent_as, kind, parameter["in"], None)
    return Argument(name, sent_as.lower(), f"{kind} | None", parameter["in"], "None")


def _name_type(schema: Document) -> str:
    if schema["type"] == "array":
        return "Sequence[str]"
    if 0 < len(schema.get("enum", ())) <= VALUES_MAX:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    return TYPES[str(schema.get("format", schema["type"]))]


def _list_named(arguments: list[Argument], content_type: str | None) -> Iterator[str]:
    """Yield what a signature has by name."""
    named = [each for each in arguments if each.where != "path"]
    if named or content_type:
        yield "*"
    if content_type:
        yield content_type
    yield from (each.declare() for each in named)


def _read_body(operation: Document) -> tuple[list[str], str | None]:
    """Return the declaration of a body, and that of its type if there is a choice."""
    request = operation.get("requestBody")
    if request is None:
        return [], None
    contents = request["content"]
    if list(contents) == ["application/json"]:
        schema = contents["application/json"]["schema"]
        if "anyOf" in schema:
            return [f"body: {_type_of(schema['anyOf'][0])} | None = None"], None
        # What a signature covers is sent as it is.
        return [f"body: {_type_of(schema) if '$ref' in schema else 'bytes'}"], None
    schemas = [each["schema"] for media, each in contents.items() if media.endswith("json")]
    kinds = [*(_type_of(schema) for schema in schemas if "$ref" in schema), "str", "bytes"]
    return [f"body: {' | '.join(kinds)}"], f"content_type: Literal[{', '.join(map(repr, contents))}]"


def _type_of(schema: Document) -> str:
    if "$ref" in schema:
        return f"m.{schema['$ref'].rpartition('/')[2]}"
    if schema["type"] == "array":
        return f"list[{_type_of(schema['items'])}]"
    if schema["type"] == "object":
        values = schema["additionalProperties"]
        return f"dict[str, {'Any' if values is True else _type_of(values)}]"
    return "str"
