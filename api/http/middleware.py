"""The envelope of every request: an id, a limit of the body, one log line.

Plain ASGI, because it is on the hot path.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.request_log import BufferedRequestLog
from api.http.request_metrics import observe
from domain.values.trace_ids import outside_trace_id

NO_SNIFF = (b"x-content-type-options", b"nosniff")
"""Makes browsers trust the Content-Type of every answer."""
REQUEST_ID = b"x-request-id"
CACHE_CONTROL = b"cache-control"
NO_STORE = (CACHE_CONTROL, b"no-store")
"""Set on every answer that does not say how it may be cached."""
HSTS = (b"strict-transport-security", b"max-age=31536000")
"""Makes browsers use https for a year (RFC 6797). Sent over https only, because it has no meaning elsewhere."""

DIGITS_MAX = 18
"""Most digits of a Content-Length that is trusted; with a longer one the received bytes are counted."""
ERRORS_FROM = 400
"""The log's outcome is the status from here on, unless a route set a better one."""


class BodyTooLargeError(HTTPException):
    """The request's body exceeds the limit. An HTTPException, because FastAPI takes any other for a parse error."""

    def __init__(self) -> None:
        super().__init__(413)


class RequestEnvelope:
    """What every request gets: an id, the headers of its response, one log line, and its place in the metrics.

    Args:
        new_request_id: Ids for requests that bring none.
        quiet: Path prefixes that are not logged, such as health checks.
    """

    def __init__(self, new_request_id: Callable[[], str], quiet: tuple[str, ...] = ()) -> None:
        self._new_request_id = new_request_id
        self._quiet = quiet
        self._lines = BufferedRequestLog()

    def name_request(self, scope: Scope, named: bytes | None) -> None:
        """Set `ledger_request_id` in the scope.

        Args:
            scope: Of the request.
            named: The value of X-Request-ID, if the request has one.
        """
        request_id = None if named is None else outside_trace_id(named.decode("latin-1"))
        scope["ledger_request_id"] = request_id or self._new_request_id()

    def complete_headers(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
        """Add the headers that every response has."""
        headers.append((REQUEST_ID, scope["ledger_request_id"].encode()))
        headers.append(NO_SNIFF)
        if CACHE_CONTROL not in dict(headers):
            headers.append(NO_STORE)
        if scope.get("scheme") == "https":
            headers.append(HSTS)

    def log_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count and log a request that has ended.

        Args:
            scope: Of the request.
            status: Of the response; 0 if there was none.
            seconds: How long it took.
        """
        # The route's pattern, never the path itself, because paths hold link tokens.
        route = str(scope.get("ledger_route") or getattr(scope.get("route"), "path", "unmatched"))
        observe(route, status, seconds)
        if not scope["path"].startswith(self._quiet):
            self._lines.add(
                action="redeem" if "ledger_route" in scope else getattr(scope.get("endpoint"), "__name__", "none"),
                outcome=scope.get("ledger_outcome") or ("ok" if 0 < status < ERRORS_FROM else str(status)),
                reservation_id=_reservation(scope),
                method=scope["method"],
                route=route,
                status=status,
                ms=round(seconds * 1000, 2),
                request_id=scope["ledger_request_id"],
            )

    def write_lines(self) -> None:
        """Write the lines that are buffered."""
        self._lines.write()


class RequestEnvelopeMiddleware:
    """Puts the envelope around requests of an application, and bounds their bodies.

    Args:
        app: The application inside.
        envelope: The envelope.
        body_bytes_max: Bound of the request's body.
        files: Paths that take a file, each with its own bound.
        refuse: Answers a request whose body is declared too large.
    """

    def __init__(
        self,
        app: ASGIApp,
        envelope: RequestEnvelope,
        *,
        body_bytes_max: int,
        files: Mapping[str, int],
        refuse: Callable[[Scope, Receive, Send], object],
    ) -> None:
        self.app = app
        self.envelope = envelope
        self.body_bytes_max = body_bytes_max
        self.files = files
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        envelope = self.envelope
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            envelope.write_lines()  # a lifespan that ends here was the process's last
            return
        started = time.perf_counter()
        declared, named = self._read_headers(scope)
        envelope.name_request(scope, named)
        status = 0

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                envelope.complete_headers(scope, message["headers"])
            await send(message)

        bytes_max = self.files.get(scope["path"], self.body_bytes_max)
        try:
            if declared > bytes_max:
                await self.refuse(scope, receive, tagged)  # type: ignore[misc]  # an async function, typed as any callable
            else:
                # A body of a declared length is no longer than that: the server ends it there.
                await self.app(scope, receive if declared else self._bounded(receive, bytes_max), tagged)
        finally:
            envelope.log_request(scope, status, time.perf_counter() - started)

    def _read_headers(self, scope: Scope) -> tuple[int, bytes | None]:
        declared, named = 0, None
        for name, value in scope["headers"]:
            if name == b"content-length":
                declared = int(value) if value.isdigit() and len(value) <= DIGITS_MAX else 0
            elif name == REQUEST_ID:
                named = value
        return declared, named

    def _bounded(self, receive: Receive, left: int) -> Receive:
        """Count the received bytes, because a chunked body declares no length."""

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise BodyTooLargeError
            return message

        return counted


def _reservation(scope: Scope) -> str | None:
    """Return the id of the reservation that the request is about, if it is known."""
    reservation_id = scope.get("ledger_reservation_id")
    asked = scope.get("path_params", {}).get("reservation_id")
    if reservation_id is None and asked is not None:
        with suppress(ValueError):  # any other text in the path
            reservation_id = UUID(str(asked))
    return None if reservation_id is None else str(reservation_id)
