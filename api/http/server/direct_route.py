"""uvicorn's HTTP protocol with one route that is answered without ASGI: no task, no event, no messages.

Those cost more CPU time than everything that a redeem request does outside the database. A request to the route is
collected here and given to it as a whole; whatever it does not accept goes to the application, as if nothing happened.
"""

import asyncio
import logging
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Protocol, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.http.server.single_write import SingleWriteProtocol

log = logging.getLogger(__name__)


class DirectExchange:
    """One request and its response. It takes the place of uvicorn's cycle, so uvicorn waits for it as for any other.

    Attributes:
        scope: The ASGI scope, complete but for `raw_path` and `query_string`.
        body: The request's body.
    """

    __slots__ = ("_protocol", "body", "disconnected", "keep_alive", "response_complete", "scope")

    message_event: Final = asyncio.Event()
    """Set by uvicorn when the client disconnects; nothing waits for it here."""

    def __init__(self, protocol: "DirectRouteProtocol", scope: Scope, body: bytes) -> None:
        self._protocol = protocol
        self.scope = scope
        self.body = body
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False

    def respond(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Write the response, once. If the client has disconnected, nothing is written.

        Args:
            status: The HTTP status.
            headers: Valid header fields, without `content-length`.
            body: Of any length, also empty.
        """
        self.response_complete = True
        self._protocol.finish_direct(self, status, headers, body)

    def abort(self) -> None:
        """Close the connection without a response."""
        self.response_complete = True
        self._protocol.transport.close()


@cache
def _warn_without_route(application: str) -> None:
    """Log once that every request goes to the application."""
    why = f"uvicorn serves {application}, which has no direct route: run it with --no-proxy-headers"
    log.warning("direct route disabled", extra={"why": why})


class DirectRoute(Protocol):
    """A route that answers whole requests.

    Attributes:
        path: The route's path, as the request line holds it.
        body_bytes_max: Longer bodies go to the application.
    """

    path: str
    body_bytes_max: int

    def begin(self, exchange: DirectExchange) -> bool:
        """Begin to answer a POST request; `exchange.respond` may be called before or after this returns.

        Returns:
            False if the application should answer it; then this has had no effect.
        """


class DirectRouteProtocol(SingleWriteProtocol):
    """The protocol of the API's connections."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._route: DirectRoute | None = getattr(self.app, "direct_route", None)
        if self._route is None:
            _warn_without_route(type(self.app).__name__)
        self._target = None if self._route is None else self._route.path.encode()
        self._collected: bytes | None = None

    def on_headers_complete(self) -> None:
        """Collect a request to the direct route; let uvicorn begin any other."""
        if self.url == self._target and self._is_simple():
            self._collected = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        if self._collected is None:
            super().on_body(body)
            return
        self._collected += body
        if self._route is not None and len(self._collected) > self._route.body_bytes_max:
            self._leave_to_application()

    def on_message_complete(self) -> None:
        """Give a collected request to the route."""
        body, route = self._collected, self._route
        if body is None or route is None:
            super().on_message_complete()
            return
        self.scope["path"], self.scope["method"] = route.path, "POST"
        previous, exchange = self.cycle, DirectExchange(self, cast("Scope", self.scope), body)
        self.cycle = exchange  # type: ignore[assignment]  # it has the attributes that uvicorn uses between messages
        if route.begin(exchange):
            self._collected = None
        else:
            self.cycle = previous
            self._leave_to_application()
            super().on_message_complete()

    def finish_direct(
        self, exchange: DirectExchange, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Write the response of an exchange, then continue as after any other."""
        if exchange.disconnected or self.transport.is_closing():
            return
        fields = [STATUS_LINE[status]]
        fields += [b"%b: %b\r\n" % field for field in (*self.server_state.default_headers, *headers)]
        if not exchange.keep_alive:
            fields.append(b"connection: close\r\n")
        fields.append(b"content-length: %d\r\n\r\n" % len(body))
        fields.append(body)
        self.whole_writes.write_whole(b"".join(fields))
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _is_simple(self) -> bool:
        """Return whether the request is a POST that needs none of uvicorn's special cases, with nothing before it."""
        parser = self.parser
        cycle: Any = self.cycle  # None at first
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and self.limit_concurrency is None
            and not self.root_path
            and (cycle is None or cycle.response_complete)
        )

    def _leave_to_application(self) -> None:
        """Pass on what was collected to uvicorn, which begins the request."""
        body, self._collected = self._collected, None
        super().on_headers_complete()
        if body:
            super().on_body(body)
