"""Responses as the OpenAPI document has them: whatever it does not name is an error."""

import json
from collections.abc import Iterator
from types import ModuleType, NoneType
from typing import Any, Final, NamedTuple

import msgspec

Document = dict[str, Any]
SUCCESS_MAX: Final = 299
NO_CONTENT: Final[Document] = {"": {}}
"""What the document has of a response without a body."""


class DocumentedResponse(NamedTuple):
    """One response of one operation; `media` is empty if it has no body."""

    operation: str
    status: str
    media: str


class DecodedBody(NamedTuple):
    """A value of a documented type."""

    kind: object
    value: Any


class Route(NamedTuple):
    """Where an operation is."""

    method: str
    path: str


class StrictDecoder:
    """Decodes responses by the generated models, and keeps which of them there were.

    Attributes:
        models: The generated models.
        routes: Every operation of the document by its id.
        seen: The responses that were decoded.
    """

    def __init__(self, document: Document, models: ModuleType) -> None:
        self._operations: dict[str, dict[str, Any]] = {
            operation["operationId"]: operation
            for path_item in document["paths"].values()
            for operation in path_item.values()
        }
        self.models = models
        self.routes = {
            operation["operationId"]: Route(method.upper(), path)
            for path, path_item in document["paths"].items()
            for method, operation in path_item.items()
        }
        self.seen: set[DocumentedResponse] = set()

    def decode(self, operation: str, status: int, media: str, body: bytes) -> DecodedBody:
        """Return what a body holds, and the type that the document gives it.

        Raises:
            AssertionError: The document has no such status or media type, or another type of body.
        """
        name = DocumentedResponse(operation, str(status), media.partition(";")[0])
        try:
            decoded = self._decode(name, body)
        except ValueError as error:
            raise AssertionError(f"{name}: {error}: {body[:300]!r}") from error
        self.seen.add(name)
        return decoded

    def _decode(self, name: DocumentedResponse, body: bytes) -> DecodedBody:
        responses = self._operations[name.operation]["responses"]
        if name.status not in responses:
            raise ValueError(f"the document has only {sorted(responses)}")
        content = responses[name.status].get("content", NO_CONTENT)
        if name.media not in content:
            raise ValueError(f"the document has only {sorted(content)}")
        if not name.media:
            if body:
                raise ValueError("the document has no body of it")
            return DecodedBody(NoneType, None)
        kind = self._type_of(content[name.media]["schema"])
        return DecodedBody(kind, body.decode() if kind is str else msgspec.json.decode(body, type=kind))

    def list_unseen(self) -> Iterator[DocumentedResponse]:
        """Yield the documented successes that were not decoded."""
        for operation, described in self._operations.items():
            for status, response in described["responses"].items():
                for media in response.get("content", NO_CONTENT) if int(status) <= SUCCESS_MAX else ():
                    if (name := DocumentedResponse(operation, status, media)) not in self.seen:
                        yield name

    def _type_of(self, schema: Document) -> Any:  # noqa: ANN401 - whatever msgspec takes for a type
        if "$ref" in schema:
            return getattr(self.models, schema["$ref"].rpartition("/")[2])
        if schema["type"] == "array":
            return list[self._type_of(schema["items"])]  # type: ignore[misc]  # known when the test runs
        if schema["type"] == "object":
            if schema["additionalProperties"] is True:
                return dict[str, Any]
            return dict[str, self._type_of(schema["additionalProperties"])]  # type: ignore[misc]  # as above
        assert schema["type"] == "string", json.dumps(schema)
        return str
