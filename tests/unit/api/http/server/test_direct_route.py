import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from api.http.server.direct_route import DirectExchange, DirectRouteProtocol, _warn_without_route
from tests.support.waiting import in_event_loop, run_ready_tasks

BODY_BYTES_MAX = 100
PATH = "/direct"


class RecordingRoute:
    path = PATH
    body_bytes_max = BODY_BYTES_MAX

    def __init__(self) -> None:
        self.exchanges: list[DirectExchange] = []
        self.arrived = asyncio.Event()
        self.accepts = True
        self.answers_immediately = True

    def begin(self, exchange: DirectExchange) -> bool:
        if not self.accepts:
            return False
        self.exchanges.append(exchange)
        if self.answers_immediately:
            self.answer()
        self.arrived.set()
        return True

    def answer(self) -> None:
        exchange = self.exchanges[-1]
        exchange.respond(202, [(b"x-way", b"direct")], exchange.body)


class Application:
    def __init__(self) -> None:
        self.direct_route = RecordingRoute()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        text = f"{scope['method']} {scope['path']} {body.decode()}"
        await PlainTextResponse(text, headers={"x-way": "application"})(scope, receive, send)


class WatchedProtocol(DirectRouteProtocol):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.begun, self.lost = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.begun.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: WatchedProtocol) -> None:
        self.reader, self.writer, self.end = reader, writer, end

    async def ask(self, *pieces: bytes) -> tuple[str, dict[str, str], str]:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await run_ready_tasks()
        return await self.response()

    async def response(self) -> tuple[str, dict[str, str], str]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(fields["content-length"]))
        return status, fields, body.decode()


@asynccontextmanager
async def connect() -> AsyncIterator[tuple[Connection, RecordingRoute]]:
    application = Application()
    config = uvicorn.Config(application, lifespan="off", log_level="critical", proxy_headers=False)
    config.load()
    end = WatchedProtocol(config, ServerState(), {})
    server = await asyncio.get_running_loop().create_server(lambda: end, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await end.begun.wait()
    yield Connection(reader, writer, end), application.direct_route
    writer.close()
    await end.lost.wait()
    server.close()


def request(body: bytes = b"body", *, line: str = f"POST {PATH} HTTP/1.1", **fields: str) -> bytes:
    named = {"host": "localhost", "content-length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in fields.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"{line}\r\n{head}\r\n".encode() + body


@in_event_loop
async def test_simple_requests_on_one_connection_take_the_direct_route() -> None:
    async with connect() as (connection, route):
        for body in (b"one", b"", b"three"):
            status, fields, text = await connection.ask(request(body))
            assert (status, fields["x-way"], text) == ("HTTP/1.1 202 Accepted", "direct", body.decode())
        scope = route.exchanges[0].scope
        assert (scope["method"], scope["path"], scope["client"][0]) == ("POST", PATH, "127.0.0.1")
        assert dict(scope["headers"])[b"host"] == b"localhost"
        assert connection.end.server_state.total_requests == 3


@in_event_loop
async def test_request_in_pieces_is_collected() -> None:
    async with connect() as (connection, route):
        octets = request(b"a longer body")
        for cut in range(1, len(octets)):
            assert (await connection.ask(octets[:cut], octets[cut:]))[2] == "a longer body"
        assert len(route.exchanges) == len(octets) - 1


SPECIAL = {
    "another path": request(line="POST /other HTTP/1.1"),
    "a query": request(line=f"POST {PATH}?q HTTP/1.1"),
    "another method": request(line=f"PUT {PATH} HTTP/1.1"),
    "the old version": request(line=f"POST {PATH} HTTP/1.0", connection="keep-alive"),
    "a long body": request(b"b" * (BODY_BYTES_MAX + 1)),
    "the last request": request(connection="close"),
    "a body that waits": request(expect="100-continue"),
}


@pytest.mark.parametrize("octets", SPECIAL.values(), ids=list(SPECIAL))
@in_event_loop
async def test_special_requests_reach_the_application_whole(octets: bytes) -> None:
    async with connect() as (connection, route):
        connection.writer.write(octets)
        if b"100-continue" in octets:
            assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        status, fields, text = await connection.response()
        line, _, body = octets.partition(b"\r\n")
        method, path = line.decode().split()[:2]
        assert (status, fields["x-way"]) == ("HTTP/1.1 200 OK", "application")
        assert text == f"{method} {path.partition('?')[0]} {body.rpartition(bytes([13, 10]) * 2)[2].decode()}"
        assert not route.exchanges


@in_event_loop
async def test_declined_requests_reach_the_application_whole() -> None:
    async with connect() as (connection, route):
        for accepts in (False, True, False, True):
            route.accepts = accepts
            _, fields, text = await connection.ask(request(b"abc")[:-1], b"c")
            assert (fields["x-way"], text) == (("direct", "abc") if accepts else ("application", f"POST {PATH} abc"))


@pytest.mark.parametrize("next_path", [PATH, "/other"])
@in_event_loop
async def test_responses_keep_the_order_of_pipelined_requests(next_path: str) -> None:
    async with connect() as (connection, route):
        route.answers_immediately = False
        connection.writer.write(request(b"first") + request(b"second", line=f"POST {next_path} HTTP/1.1"))
        await route.arrived.wait()
        assert len(route.exchanges) == 1
        route.answer()
        assert (await connection.response())[2] == "first"
        assert (await connection.response())[2] == f"POST {next_path} second"


@in_event_loop
async def test_pipelined_requests_that_are_answered_immediately_are_all_direct() -> None:
    async with connect() as (connection, route):
        connection.writer.write(b"".join(request(b"%d" % number) for number in range(5)))
        assert [(await connection.response())[2] for _ in range(5)] == list("01234")
        assert len(route.exchanges) == 5


@in_event_loop
async def test_shutdown_waits_for_the_response_and_closes_the_connection() -> None:
    async with connect() as (connection, route):
        route.answers_immediately = False
        connection.writer.write(request())
        await route.arrived.wait()
        connection.end.shutdown()
        route.answer()
        assert connection.end.transport.is_closing()
        _, fields, text = await connection.response()
        assert (fields["connection"], text) == ("close", "body")
        assert await connection.reader.read() == b""


@in_event_loop
async def test_idle_connection_is_closed_by_a_shutdown() -> None:
    async with connect() as (connection, route):
        await connection.ask(request())
        connection.end.shutdown()
        assert await connection.reader.read() == b""
        assert len(route.exchanges) == 1


@in_event_loop
async def test_response_to_a_client_that_left_is_dropped() -> None:
    async with connect() as (connection, route):
        route.answers_immediately = False
        connection.writer.write(request())
        await route.arrived.wait()
        connection.writer.close()
        exchange: Any = route.exchanges[0]
        await connection.end.lost.wait()
        assert exchange.disconnected
        route.answer()
        assert exchange.response_complete


@in_event_loop
async def test_idle_connection_is_closed_after_the_keep_alive_timeout() -> None:
    async with connect() as (connection, _):
        connection.end.timeout_keep_alive = 0
        await connection.ask(request())
        assert await connection.reader.read() == b""


@pytest.mark.parametrize("proxy_headers", [False, True])
@in_event_loop
async def test_application_without_a_direct_route_is_served_with_one_warning(
    proxy_headers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """As one that uvicorn's option --proxy-headers wraps: it would cost more CPU time in silence."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["path"])(scope, receive, send)

    if proxy_headers:
        application.direct_route = RecordingRoute()  # type: ignore[attr-defined]  # the wrapper hides it

    config = uvicorn.Config(application, lifespan="off", log_level="critical", proxy_headers=proxy_headers)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: DirectRouteProtocol(config, ServerState(), {}), "127.0.0.1", 0
    )
    _warn_without_route.cache_clear()
    for _ in range(2):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(request(connection="close"))
        assert (await reader.read()).endswith(b"\r\n\r\n" + PATH.encode())
        writer.close()
    server.close()

    (line,) = caplog.records
    assert (line.levelname, line.message) == ("WARNING", "direct route disabled")
    assert "run it with --no-proxy-headers" in vars(line)["why"]
