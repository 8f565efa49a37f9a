"""HEAD on pages: the answer of GET without its body (RFC 9110 9.3.2), as link checkers and monitors ask for it."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

API: Final = "/api/"
"""Paths below it have the methods that the OpenAPI document lists."""


class AnswerHead:
    """Answers HEAD requests outside of the API.

    Args:
        app: The application inside, which sees GET.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope.get("method") != "HEAD" or scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        is_complete = False

        async def send_without_body(message: Message) -> None:
            nonlocal is_complete
            if message["type"] == "http.response.start":
                await send(message)
            elif not is_complete:
                is_complete = True  # a stream would never end
                await send({"type": "http.response.body"})

        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, send_without_body)
        finally:
            scope.update(inner, method="HEAD")  # the log line names the route, and the server sends no body
