"""Which methods a path takes, and the path that a trailing slash hides: the router knows neither."""

from urllib.parse import quote

from fastapi import Request
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Match


def allowed_methods(request: Request) -> str:
    """The value of an Allow header for the path of this request; empty if nothing is there."""
    return _methods_at(request, request.url.path)


def without_slash(request: Request) -> str | None:
    """The path and query of this request without a trailing slash, if something is there; None if not.

    It begins with one slash, so it stays on this host whatever the Host header says.
    """
    path: str = request.scope["path"]
    bare = path.removesuffix("/")
    if bare == path or not _methods_at(request, bare):
        return None
    query = request.scope["query_string"].decode("latin-1")
    return quote("/" + bare.lstrip("/")) + (f"?{query}" if query else "")


def _methods_at(request: Request, path: str) -> str:
    scope = {"type": "http", "method": request.method, "path": path, "headers": []}
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if isinstance(route.original_route, APIRoute) and route.matches(scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found))
