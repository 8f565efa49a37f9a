"""`/docs`: the HTTP API's reference, rendered from its OpenAPI document, and the list of guides.

FastAPI's own pages would load scripts from another site into the origin of the staff sessions.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.web.public.documentation import list_sections
from api.web.rendering import choose_language, page
from domain.ports import Language

METHODS: Final = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """One operation of the API. `statuses`: the described ones, with their meanings."""

    method: str
    path: str
    summary: str
    description: str
    statuses: list[tuple[str, str]]
    needs_key: bool


def build_router(schema: Callable[[], dict[str, Any]], schema_url: str, default_language: Language) -> APIRouter:
    """Build the router of `/docs`.

    Args:
        schema: Returns the OpenAPI document.
        schema_url: Where machines find it.
        default_language: Language of browsers that name none.
    """
    router = APIRouter()

    @router.get("/docs")
    async def reference(request: Request) -> Response:
        document = schema()
        language = choose_language(request, default_language)
        return page(
            request,
            "api_reference.html",
            language,
            groups=group_operations(document),
            schema_url=schema_url,
            sections=list_sections(),
        )

    return router


def group_operations(schema: dict[str, Any]) -> dict[str, list[Operation]]:
    """Return operations by their tag, in the document's order."""
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
