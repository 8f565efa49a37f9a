"""Requests straight into the application, from any address: no client and no socket between."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar, cast

import orjson
from starlette.types import Message

from tests.support.clients.app_client import AppClient

T = TypeVar("T")
REDEEM = "/api/v1/public/redeem"


class AsgiResponse(NamedTuple):
    status: int
    headers: dict[str, str]
    body: dict[str, Any]
    seconds: float

    @property
    def code(self) -> str | None:
        return self.body.get("code")


async def ask(
    app: AppClient,
    client: str,
    email: str,
    code: str,
    *,
    path: str = REDEEM,
    headers: dict[str, str] | None = None,
    **more: str,
) -> AsgiResponse:
    """POST a redeem, or a correction, from an address; `more` goes into the body."""
    body = orjson.dumps({"email": email, "code": code, **more})
    sent: list[Message] = []
    asked = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "scheme": "http",
        "client": (client, 50_000),
        "server": ("testserver", 80),
        "headers": [(name.encode(), value.encode()) for name, value in asked.items()],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    began = time.perf_counter()
    await app.client.app(scope, receive, send)
    seconds = time.perf_counter() - began
    headers_by_name = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return AsgiResponse(
        sent[0]["status"], headers_by_name, cast("dict[str, Any]", orjson.loads(sent[1]["body"])), seconds
    )


def inside(app: AppClient, questions: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine in the application's own event loop."""
    portal = app.client.portal
    assert portal is not None
    return portal.call(questions)
