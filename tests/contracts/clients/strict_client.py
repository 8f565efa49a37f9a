"""A client of the generated models: it names operations by their ids, and takes only what the document allows."""

from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar, cast
from urllib.parse import quote
from uuid import UUID

import httpx2
import msgspec

from tests.contracts.clients.strict_decoder import StrictDecoder
from tests.contracts.clients.strict_struct import StrictStruct
from tests.support.waiting import WAIT_S_MAX

T = TypeVar("T")
Headers = Mapping[str, str]
BODY_TYPE = "application/json"


class StrictClient:
    """Sends requests to one server with fixed headers."""

    def __init__(self, decoder: StrictDecoder, url: str, headers: Headers) -> None:
        self._decoder, self._url = decoder, url
        self._http = httpx2.Client(base_url=url, headers=dict(headers), timeout=WAIT_S_MAX, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def with_headers(self, headers: Headers) -> Self:
        return type(self)(self._decoder, self._url, headers)

    def call(
        self,
        returns: type[T],
        operation: str,
        body: StrictStruct | bytes | None = None,
        *,
        path: Mapping[str, UUID | str] = MappingProxyType({}),
        status: int | None = None,
        query: StrictStruct | None = None,
        headers: Headers | None = None,
        media: str = BODY_TYPE,
    ) -> T:
        """Return the answer to a request.

        Args:
            returns: The type that the answer must have.
            operation: Its id in the document.
            body: A model, or a text of the type `media`.
            path: Values of the path's parameters.
            status: The status that the answer must have; None: any with the type.
            query: The query, as the generated model for this operation.
            headers: More headers.
            media: Type of a body that is no model.
        """
        method, template = self._decoder.routes[operation]
        content = msgspec.json.encode(body) if isinstance(body, StrictStruct) else body
        response = self._http.request(
            method,
            template.format_map({name: quote(str(value), safe="") for name, value in path.items()}),
            params=_query_of(query),
            headers={**(headers or {}), **({"content-type": media} if content is not None else {})},
            content=content,
        )
        media_type = response.headers.get("content-type", "")
        kind, value = self._decoder.decode(operation, response.status_code, media_type, response.content)
        assert (kind, status or response.status_code) == (returns, response.status_code), f"{operation}: {value!r}"
        return cast("T", value)


def _query_of(query: StrictStruct | None) -> dict[str, str | list[str]]:
    """Return what is set: a null has no text, and what is left out is left to the server."""
    fields = {} if query is None else msgspec.to_builtins(query)
    return {
        name: [_text_of(one) for one in value] if isinstance(value, list) else _text_of(value)
        for name, value in fields.items()
        if value is not None
    }


def _text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
