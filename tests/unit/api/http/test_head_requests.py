import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.http.head_requests import AnswerHead


async def _endless(scope: Scope, receive: Receive, send: Send) -> None:
    del receive
    scope["route"] = scope["method"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    for _ in range(3):
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})


def ask(method: str, path: str) -> tuple[dict[str, Any], list[Message]]:
    scope, sent = {"type": "http", "method": method, "path": path}, []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(AnswerHead(_endless)(scope, None, send))  # type: ignore[arg-type]  # nothing is received
    return scope, sent


def test_head_of_a_page_is_get_without_a_body() -> None:
    scope, sent = ask("HEAD", "/invite")

    assert (scope["method"], scope["route"]) == ("HEAD", "GET")
    assert sent[0]["headers"] == [(b"content-length", b"2")]
    assert sent[1:] == [{"type": "http.response.body"}]


@pytest.mark.parametrize(("method", "path"), [("GET", "/invite"), ("HEAD", "/api/v1/codes")])
def test_other_requests_pass_unchanged(method: str, path: str) -> None:
    """The API has the methods that its document lists."""
    scope, sent = ask(method, path)

    assert (scope["method"], scope["route"]) == (method, method)
    assert [message.get("body") for message in sent[1:]] == [b"ab"] * 3
