"""Every field of a request that holds a time, number, boolean, text or list, found in the OpenAPI document."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Literal

from tests.extremes.extreme_values import (
    AT_THE_ENDS,
    BEYOND,
    NO_JSON_BOOLEANS,
    NO_JSON_LISTS,
    NO_JSON_NUMBERS,
    NO_JSON_TEXTS,
    NO_JSON_TIMES,
    NO_TIMES,
    NO_WRITTEN_NUMBERS,
)

Kind = Literal["time", "number", "boolean", "text", "list"]
Place = tuple[str | int, ...]
"""Names, and positions in lists, that lead to a field."""
Schema = Mapping[str, Any]
BOUNDED_FORMATS: Final = frozenset({"uuid"})
UNBOUNDED_LENGTH: Final = 5_000
KINDS: Final[Mapping[str, Kind]] = {
    "time": "time",
    "integer": "number",
    "boolean": "boolean",
    "string": "text",
    "array": "list",
}
NO_JSON: Final[Mapping[Kind, tuple[Any, ...]]] = {
    "time": NO_JSON_TIMES,
    "number": NO_JSON_NUMBERS,
    "boolean": NO_JSON_BOOLEANS,
    "text": NO_JSON_TEXTS,
    "list": NO_JSON_LISTS,
}
VALID: Final = {"time": "2027-01-31T00:00:00Z", "boolean": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentedField:
    """One field. `where`: query, header, path or body; `place`: its name, or what leads to it in the body."""

    operation: "DocumentedOperation"
    where: str
    place: Place
    kind: Kind
    schema: Schema

    @property
    def name(self) -> str:
        return ".".join((self.where, *map(str, self.place)))

    @property
    def is_bounded(self) -> bool:
        if self.kind == "number":
            return {"minimum", "maximum"} <= self.schema.keys()
        if self.kind == "list":
            return "maxItems" in self.schema
        return (
            self.kind != "text"
            or not {"maxLength", "enum", "const"}.isdisjoint(self.schema)
            or self.schema.get("format") in BOUNDED_FORMATS
        )

    def wrong(self) -> Iterator[Any]:
        if self.where == "body":
            yield from NO_JSON[self.kind]
        elif self.kind == "time":
            yield from (*BEYOND, *NO_TIMES)
        elif self.kind == "number":
            yield from NO_WRITTEN_NUMBERS
        if self.kind == "number":
            yield from (self._as_written(int(self.schema[end]) + by) for end, by in (("minimum", -1), ("maximum", 1)))
        elif self.kind == "text":
            yield "x" * (self.schema.get("maxLength", UNBOUNDED_LENGTH) + 1)
        elif self.kind == "list":
            yield [self.operation.example_of(self.schema["items"])] * (self.schema.get("maxItems", 0) + 1)
            yield from [[]] if self.schema.get("minItems") else []

    def right(self) -> Iterator[Any]:
        if self.kind == "time":
            yield from AT_THE_ENDS
        elif self.kind == "number":
            yield from (self._as_written(int(self.schema[end])) for end in ("minimum", "maximum"))

    def _as_written(self, number: int) -> object:
        return number if self.where == "body" else str(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentedOperation:
    method: str
    path: str
    raw: Schema
    document: Schema
    values: Mapping[str, object]

    def body(self) -> dict[str, Any] | None:
        schema = self._body_schema()
        return None if schema is None else self._example(schema)

    def query(self) -> dict[str, str]:
        needed = [one for one in self._parameters("query") if one.get("required")]
        return {one["name"]: str(self._value(one["name"], self._leaf(one["schema"]))) for one in needed}

    def address(self) -> str:
        return self.path.format_map({name: str(value) for name, value in self.values.items()})

    def fields(self) -> Iterator[DocumentedField]:
        for where in ("query", "header", "path"):
            for one in self._parameters(where):
                yield from self._fields_of(where, (one["name"],), one["schema"])
        if (schema := self._body_schema()) is not None:
            yield from self._fields_of("body", (), schema)

    def _parameters(self, where: str) -> list[Schema]:
        return [one for one in self.raw.get("parameters", ()) if one["in"] == where]

    def _body_schema(self) -> Schema | None:
        content = self.raw.get("requestBody", {}).get("content", {}).get("application/json")
        return None if content is None else content["schema"]

    def example_of(self, schema: Schema) -> object:
        return self._value("", self._leaf(schema))

    def _fields_of(self, where: str, place: Place, schema: Schema) -> Iterator[DocumentedField]:
        leaf = self._leaf(schema)
        kind = KINDS.get("time" if leaf.get("format") == "date-time" else leaf.get("type", ""))
        if kind is not None and (where == "body" or kind in {"time", "number"}):
            yield DocumentedField(operation=self, where=where, place=place, kind=kind, schema=leaf)
        for name, inner in leaf.get("properties", {}).items():
            yield from self._fields_of(where, (*place, name), inner)
        if kind == "list" and where == "body":
            yield from self._fields_of(where, (*place, 0), leaf["items"])

    def _leaf(self, schema: Schema) -> Schema:
        if "$ref" in schema:
            return self._leaf(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        return self._leaf(options[0]) if options else schema

    def _example(self, schema: Schema) -> dict[str, Any]:
        leaf = self._leaf(schema)
        return {name: self._value(name, self._leaf(leaf["properties"][name])) for name in leaf.get("required", ())}

    def _value(self, name: str, leaf: Schema) -> object:
        if name in self.values:
            return str(self.values[name])
        if "enum" in leaf or "const" in leaf:
            return leaf["enum"][0] if "enum" in leaf else leaf["const"]
        if leaf.get("format") == "date-time":
            return VALID["time"] if name != "to" else "2027-02-01T00:00:00Z"
        if "properties" in leaf:
            return self._example(leaf)
        if leaf.get("type") == "array":
            return [self.example_of(leaf["items"])] if leaf.get("minItems") else []
        return {"integer": leaf.get("minimum", 1), "boolean": False}.get(leaf.get("type", ""), "x")


def operations(document: Schema, values: Mapping[str, object]) -> Iterator[DocumentedOperation]:
    """All operations of the document.

    Args:
        document: The OpenAPI document.
        values: Values of path parameters and of fields, by their names.
    """
    for path, path_item in document["paths"].items():
        for method, raw in path_item.items():
            yield DocumentedOperation(method=method.upper(), path=path, raw=raw, document=document, values=values)


def with_value(body: dict[str, Any] | None, place: Place, value: object) -> dict[str, Any]:
    changed = deepcopy(body or {})
    inner: Any = changed
    for name, following in zip(place, [*place[1:], None], strict=True):
        if isinstance(inner, list) and not inner:
            inner.append(None)
        if following is None:
            inner[name] = value
            break
        before = inner.get(name) if isinstance(inner, dict) else inner[0]
        if not isinstance(before, dict | list):
            inner[name] = [] if isinstance(following, int) else {}
        inner = inner[name]
    return changed
