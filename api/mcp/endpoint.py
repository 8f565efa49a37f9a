"""`POST /mcp`: the tools over HTTP, with an API key as a bearer token."""

import asyncio
from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.types import Message

from api.errors import ApplicationError, malformed
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import Identity, TheIdentity, TheLanguage, TheServices

PATH: Final = "/mcp"

router = APIRouter(route_class=BlockingRoute)


async def _read_body(request: Request) -> bytes:
    return await request.body()


@router.post(PATH, include_in_schema=False)
async def answer_assistant(
    request: Request,
    body: Annotated[bytes, Depends(_read_body)],  # before `who`: a key may be revoked while a body arrives
    services: TheServices,
    language: TheLanguage,
    who: TheIdentity,
) -> Response:
    """Answer one message of an assistant's client.

    Raises:
        ApplicationError: UNAUTHORIZED, the caller has no API key; FORBIDDEN, a page of another site asks; MALFORMED,
            the URL has a query, which logs of proxies would keep.
    """
    if who.caller.actor != "key":
        raise ApplicationError("UNAUTHORIZED")
    if request.scope["query_string"]:
        raise malformed("query", "must be empty: the API key goes into the Authorization header")
    origin = request.headers.get("origin")
    if origin is not None and origin != _origin_of(services.settings.public_url):
        raise ApplicationError("FORBIDDEN", why="origin")
    # At first, the import and the schemas take seconds, in which this process answers other requests.
    protocol: Any = await asyncio.to_thread(import_module, "api.mcp.mcp_protocol")
    questions = await request.app.state.questions()

    async def identify() -> Identity:
        return who

    messages: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(messages, None) or await request.receive()

    server = protocol.build_server(questions, identify, language, request.app.version)
    status, headers, content = await protocol.answer_http(server, request.scope, receive)
    response = Response(content, status)
    response.raw_headers = [pair for pair in headers if pair[0] != b"content-length"]
    response.headers["content-length"] = str(len(content))
    return response


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
