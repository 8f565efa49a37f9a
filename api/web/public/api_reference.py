"""`/docs`: what the HTTP API can be asked, made from its own description.

FastAPI's own pages would load scripts from elsewhere into the origin of the staff's sessions.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.web.rendering import page, page_language
from domain.ports import Language

METHODS: Final = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """One thing that can be asked for. `statuses`: those that are described, with what they mean."""

    method: str
    path: str
    summary: str
    description: str
    statuses: list[tuple[str, str]]
    needs_key: bool


def routes(schema: Callable[[], dict[str, Any]], address: str, default_language: Language) -> APIRouter:
    """`/docs`.

    Args:
        schema: Gives the OpenAPI document.
        address: Where machines find it.
        default_language: Language of those who name none.
    """
    router = APIRouter()

    @router.get("/docs")
    async def reference(request: Request) -> Response:
        found = schema()
        language = page_language(request, default_language)
        return page(request, "reference.html", language, groups=operations(found), address=address)

    return router


def operations(schema: dict[str, Any]) -> dict[str, list[Operation]]:
    """Operations by their tag, in the document's order."""
    found: dict[str, list[Operation]] = {}
    for path, item in schema["paths"].items():
        for method in METHODS:
            if method in item:
                tag = item[method].get("tags", [""])[0]
                found.setdefault(tag, []).append(_operation(method, path, item[method]))
    return found


def _operation(method: str, path: str, described: dict[str, Any]) -> Operation:
    return Operation(
        method=method.upper(),
        path=path,
        summary=described.get("summary", ""),
        description=described.get("description", ""),
        statuses=[(status, answer.get("description", "")) for status, answer in described["responses"].items()],
        needs_key=bool(described.get("security")),
    )
