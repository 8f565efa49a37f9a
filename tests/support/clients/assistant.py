"""An assistant's program: the protocol library's own client, on the application of a test or on a process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from tests.support.clients.app_client import AppClient

T = TypeVar("T")
URL = "http://testserver/mcp"
Connect = Callable[[], AbstractAsyncContextManager[Client]]


def over_http(app: AppClient, headers: Mapping[str, str], mode: str = "auto") -> Connect:
    def forward(request: httpx2.Request) -> httpx2.Response:
        answer = app.client.request(
            request.method, request.url.path, content=request.content, headers=dict(request.headers)
        )
        return httpx2.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)

    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        transport = httpx2.MockTransport(forward)
        async with (
            httpx2.AsyncClient(transport=transport, headers=dict(headers)) as http,
            Client(streamable_http_client(URL, http_client=http), mode=mode) as client,
        ):
            yield client

    return connect


def over_stdio(command: str, *arguments: str, environment: Mapping[str, str]) -> Connect:
    """Connections to a process, which each of them starts."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        process = StdioServerParameters(command=command, args=list(arguments), env=dict(environment))
        async with Client(stdio_client(process)) as client:
            yield client

    return connect


def converse(connect: Connect, talk: Callable[[Client], Awaitable[T]]) -> T:
    async def run() -> T:
        async with connect() as client:
            return await talk(client)

    return asyncio.run(run())


def ask(connect: Connect, name: str, **arguments: object) -> CallToolResult:
    return converse(connect, lambda client: client.call_tool(name, arguments))


def list_tools(connect: Connect) -> dict[str, Any]:
    async def talk(client: Client) -> dict[str, Any]:
        return {tool.name: tool for tool in (await client.list_tools()).tools}

    return converse(connect, talk)
