"""Which methods an address takes: the router knows only those of the first route that it looks at."""

from fastapi import Request
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Match


def allowed_methods(request: Request) -> str:
    """The value of an Allow header for the path of this request; empty if nothing is there."""
    scope = {"type": "http", "method": request.method, "path": request.url.path, "headers": []}
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if isinstance(route.original_route, APIRoute) and route.matches(scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found))
