"""Who asks for a page."""

from typing import NamedTuple

from fastapi import Request

from api.deps import client_of, request_id_of


class Visitor(NamedTuple):
    """The request's id, and the address it came from, for limits alone."""

    request_id: str | None = None
    client: str | None = None


def visitor_of(request: Request) -> Visitor:
    """Whoever sent this request."""
    return Visitor(request_id_of(request), client_of(request.scope))
