"""Marks texts of others in an answer: notes, names and reasons are data, and no assistant may follow them.

A text counts as one of others unless its schema says that it is an ID, a time, one of some listed values, or worded by
the ledger. So a field that is added later is marked until its schema says more.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

MARK: Final = "untrusted_text"
"""The only member of the object that stands for a text of others."""

OWN_WORDS: Final = "x-own-words"
"""Keyword of the schema of a text that the ledger words itself, without anything that others wrote."""
OwnWords = Annotated[str, Field(json_schema_extra={OWN_WORDS: True})]
"""Such a text."""

_FORMATS: Final[Mapping[str, re.Pattern[str]]] = {
    "uuid": re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "date-time": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9]{2}:[0-9]{2})"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
}

Schema = Mapping[str, Any]


def mark_texts(value: object, schema: Schema, schemas: Mapping[str, Schema]) -> object:
    """Return an answer in which each text of others is an object `{"untrusted_text": ...}`.

    Args:
        value: Parsed JSON.
        schema: Its JSON Schema.
        schemas: Those to which it refers, by name.
    """
    return _mark(value, list(_resolve(schema, schemas)), schemas)


def _mark(value: object, candidates: Sequence[Schema], schemas: Mapping[str, Schema]) -> object:
    if isinstance(value, str):
        return value if _is_own(value, candidates) else {MARK: value}
    if isinstance(value, list):
        items = [each for schema in candidates if "items" in schema for each in _resolve(schema["items"], schemas)]
        return [_mark(each, items, schemas) for each in value]
    if isinstance(value, dict):
        return {name: _mark(each, list(_member(name, candidates, schemas)), schemas) for name, each in value.items()}
    return value


def _member(name: str, candidates: Sequence[Schema], schemas: Mapping[str, Schema]) -> Iterator[Schema]:
    for schema in candidates:
        if name in schema.get("properties", {}):
            yield from _resolve(schema["properties"][name], schemas)


def _resolve(schema: Schema, schemas: Mapping[str, Schema]) -> Iterator[Schema]:
    """Yield the alternatives of a schema, without references."""
    if "$ref" in schema:
        yield from _resolve(schemas[schema["$ref"].rpartition("/")[2]], schemas)
        return
    alternatives = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    if not alternatives:
        yield schema
    for each in alternatives:
        yield from _resolve(each, schemas)


def _is_own(text: str, candidates: Sequence[Schema]) -> bool:
    """Return whether every schema for this text says what it can be, and it is that."""
    of_texts = [schema for schema in candidates if schema.get("type") not in {"null", "integer", "number", "boolean"}]
    return bool(of_texts) and any(_permits(schema, text) for schema in of_texts) and all(map(_is_bounded, of_texts))


def _is_bounded(schema: Schema) -> bool:
    return not schema.keys().isdisjoint({"enum", "const", OWN_WORDS}) or schema.get("format") in _FORMATS


def _permits(schema: Schema, text: str) -> bool:
    if OWN_WORDS in schema:
        return True
    if "enum" in schema or "const" in schema:
        return text in schema.get("enum", [schema.get("const")])
    pattern = _FORMATS.get(schema.get("format", ""))
    return pattern is not None and pattern.fullmatch(text) is not None
