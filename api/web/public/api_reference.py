"""`/docs`: what the HTTP API can be asked, made from its own description.

FastAPI's own pages would load scripts from elsewhere into the origin of the staff's sessions.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.web.rendering import choose_language, page
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


def build_router(schema: Callable[[], dict[str, Any]], schema_url: str, default_language: Language) -> APIRouter:
    """`/docs`.

    Args:
        schema: Gives the OpenAPI document.
        schema_url: Where machines find it.
        default_language: Language of those who name none.
    """
    router = APIRouter()

    @router.get("/docs")
    async def reference(request: Request) -> Response:
        document = schema()
        language = choose_language(request, default_language)
        return page(request, "api_reference.html", language, groups=group_operations(document), schema_url=schema_url)

    return router


def group_operations(schema: dict[str, Any]) -> dict[str, list[Operation]]:
    """Operations by their tag, in the document's order."""
    operations_by_tag: dict[str, list[Operation]] = {}
    for path, path_item in schema["paths"].items():
        for method in METHODS:
            if method in path_item:
                tag = path_item[method].get("tags", [""])[0]
                operations_by_tag.setdefault(tag, []).append(_operation(method, path, path_item[method]))
    return operations_by_tag


def _operation(method: str, path: str, description: dict[str, Any]) -> Operation:
    return Operation(
        method=method.upper(),
        path=path,
        summary=description.get("summary", ""),
        description=description.get("description", ""),
        statuses=[(status, response.get("description", "")) for status, response in description["responses"].items()],
        needs_key=bool(description.get("security")),
    )
