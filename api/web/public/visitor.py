"""Who asks for a page."""

from typing import NamedTuple

from fastapi import Request

from api.http.dependencies import client_ip_of, request_id_of
from api.web.public.reservation_cookie import read_tokens


class Visitor(NamedTuple):
    """The request's id, the IP address that it came from (for limits alone), and the browser's correction tokens."""

    request_id: str | None = None
    client: str | None = None
    tokens: tuple[str, ...] = ()


def get_visitor(request: Request) -> Visitor:
    """Whoever sent this request."""
    return Visitor(request_id_of(request), client_ip_of(request.scope), read_tokens(request))
