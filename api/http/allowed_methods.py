"""The methods of a path, and the path that a trailing slash hides: the router knows neither."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.routing import Match, Route

from api.errors import ApplicationError
from api.http.head_requests import API
from api.http.problems import HttpError

STATIC_FILES: Final = "/static"
"""Path of the static files, which are not routes."""
DOCUMENTATION_FILES: Final = "/docs"
"""Path above the pages of the documentation, which are not routes either."""
ANY_PATH = ":path}"
"""End of the template of a route that answers 404 for every path that no other route has."""


def not_found(request: Request) -> ApplicationError:
    """Return the error for a path without a route for this method: 405 if it has other methods, else 404."""
    is_file = request.url.path.startswith((f"{STATIC_FILES}/", f"{DOCUMENTATION_FILES}/"))
    allowed = ["GET", "HEAD"] if is_file else _methods_at(request, request.url.path)
    if not allowed or request.method in allowed:
        return ApplicationError("NOT_FOUND")
    return HttpError("METHOD_NOT_ALLOWED", {"Allow": ", ".join(allowed)})


def find_wrong_method(request: Request, error: RequestValidationError) -> ApplicationError | None:
    """Return the 405 of a path whose own route has other methods, if a route with a malformed part took the request.

    So `GET /campaigns/{id}/codes` is no action that does not exist.
    """
    if not any(fault["loc"][:1] == ("path",) for fault in error.errors()):
        return None
    problem = not_found(request)
    return problem if problem.code == "METHOD_NOT_ALLOWED" else None


def without_slash(request: Request) -> str | None:
    """Return the path and query of a request without a trailing slash, if there is a route; else None.

    It begins with one slash, so it stays on this host whatever the Host header says.
    """
    path: str = request.scope["path"]
    bare = path.removesuffix("/")
    if bare == path or not _methods_at(request, bare):
        return None
    query = request.scope["query_string"].decode("latin-1")
    return quote("/" + bare.lstrip("/")) + (f"?{query}" if query else "")


def _methods_at(request: Request, path: str) -> list[str]:
    """Return the methods of a path in alphabetical order; none if it has no route.

    Of overlapping templates, such as `/codes/import` and `/codes/{code_id}`, the more literal one counts.
    """
    routes = list(_routes_at(request, path))
    nearest = max((literalness for literalness, _ in routes), default=())
    methods = {method for literalness, methods in routes if literalness == nearest for method in methods}
    has_head = "GET" in methods and not path.startswith(API)
    return sorted(methods | {"HEAD"} if has_head else methods)


def _routes_at(request: Request, path: str) -> Iterator[tuple[tuple[bool, ...], set[str]]]:
    """Yield, for each route that matches the path, which segments of its template are literal, and its methods."""
    scope = {"type": "http", "method": request.method, "path": path, "headers": []}
    for route in iter_route_contexts(request.app.routes):
        template = route.path or ""
        is_there = isinstance(route.original_route, Route) and not template.endswith(ANY_PATH)
        if is_there and route.matches(scope)[0] is not Match.NONE:
            yield tuple("{" not in segment for segment in template.split("/")), set(route.methods or ())
