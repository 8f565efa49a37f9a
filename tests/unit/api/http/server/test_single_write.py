import asyncio
from collections.abc import Callable
from typing import cast

import pytest
import uvicorn
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from api.http.server.single_write import JOINED_BYTES_MAX, SingleWriteProtocol, SingleWriteTransport
from tests.support.waiting import WAIT_S_MAX

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class RecordingTransport:
    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, octets: bytes) -> None:
        self.writes.append(bytes(octets))

    def close(self) -> None:
        self.writes.append(b"closed")


class StepLoop:
    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def step(self) -> None:
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()


@pytest.fixture
def loop() -> StepLoop:
    return StepLoop()


@pytest.fixture
def inner() -> RecordingTransport:
    return RecordingTransport()


@pytest.fixture
def transport(inner: RecordingTransport, loop: StepLoop) -> SingleWriteTransport:
    return SingleWriteTransport(cast("asyncio.Transport", inner), cast("asyncio.AbstractEventLoop", loop))


def test_head_and_body_are_one_write(
    transport: SingleWriteTransport, inner: RecordingTransport, loop: StepLoop
) -> None:
    for body in (b"ab", memoryview(b"cd"), b""):
        transport.write(HEAD)
        transport.write(cast("bytes", body))
    loop.step()

    assert inner.writes == [HEAD + b"ab", HEAD + b"cd", HEAD]


def test_head_without_a_body_is_written_in_the_next_iteration(
    transport: SingleWriteTransport, inner: RecordingTransport, loop: StepLoop
) -> None:
    """An event stream begins before its first event."""
    transport.write(HEAD)
    before = list(inner.writes)
    loop.step()
    transport.write(b"data: 1")

    assert (before, inner.writes) == ([], [HEAD, b"data: 1"])


def test_long_body_is_not_copied(transport: SingleWriteTransport, inner: RecordingTransport) -> None:
    """Two writes cost less."""
    body = bytes(JOINED_BYTES_MAX + 1)
    transport.write(HEAD)
    transport.write(body)

    assert inner.writes == [HEAD, body]


def test_close_writes_waiting_data(transport: SingleWriteTransport, inner: RecordingTransport, loop: StepLoop) -> None:
    transport.write(HEAD)
    transport.close()
    loop.step()

    assert inner.writes == [HEAD, b"closed"]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"]
    response: Response = PlainTextResponse(path)
    if path == "/pieces":
        response = StreamingResponse(iter([b"a", b"b", b"c"]))
    elif path == "/empty":
        response = Response(status_code=204)
    await response(scope, receive, send)


def test_uvicorn_serves_responses_of_each_kind_on_one_connection() -> None:
    async def converse() -> bytes:
        config = uvicorn.Config(application, lifespan="off", log_level="critical")
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SingleWriteProtocol(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for line in ("GET /one", "GET /pieces", "GET /empty", "HEAD /head", "GET /last"):
            end = "connection: close\r\n" if line.endswith("last") else ""
            writer.write(f"{line} HTTP/1.1\r\nhost: localhost\r\n{end}\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), WAIT_S_MAX)
        writer.close()
        server.close()
        return answer

    answer = asyncio.run(converse())

    assert answer.count(b"HTTP/1.1 2") == 5
    assert b"\r\n\r\n/oneHTTP" in answer
    assert b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\nHTTP" in answer
    assert answer.endswith(b"\r\n\r\n/last")
