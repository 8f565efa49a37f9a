import ast
import asyncio
import inspect
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import uvicorn
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.importer import import_from_string
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from api.cli.embedded.services import ledger
from api.cli.embedded.tcp_ports import HOST, find_free_port
from api.cli.server import container
from api.http.server import http_protocol
from api.http.server.direct_route import DirectExchange, DirectRouteProtocol
from api.http.server.idle_server import DatedServerState, IdleServer
from api.http.server.single_write import JOINED_BYTES_MAX, SingleWriteProtocol, SingleWriteTransport
from tests.support.waiting import WAIT_S_MAX, in_event_loop, wait_for

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


Written = tuple[SingleWriteTransport, list[bytes], StepLoop]


@pytest.fixture
def written() -> Written:
    inner, loop = RecordingTransport(), StepLoop()
    transport = SingleWriteTransport(cast("asyncio.Transport", inner), cast("asyncio.AbstractEventLoop", loop))
    return transport, inner.writes, loop


def test_head_and_body_are_one_write(written: Written) -> None:
    transport, writes, loop = written
    for body in (b"ab", memoryview(b"cd"), b""):
        transport.write(HEAD)
        transport.write(cast("bytes", body))
    loop.step()

    assert writes == [HEAD + b"ab", HEAD + b"cd", HEAD]


def test_head_without_a_body_is_written_in_the_next_iteration(written: Written) -> None:
    """An event stream begins before its first event."""
    transport, writes, loop = written
    transport.write(HEAD)
    before = list(writes)
    loop.step()
    transport.write(b"data: 1")

    assert (before, writes) == ([], [HEAD, b"data: 1"])


def test_long_body_is_not_copied(written: Written) -> None:
    """Two writes cost less."""
    transport, writes, _ = written
    body = bytes(JOINED_BYTES_MAX + 1)
    transport.write(HEAD)
    transport.write(body)

    assert writes == [HEAD, body]


def test_close_writes_waiting_data(written: Written) -> None:
    transport, writes, loop = written
    transport.write(HEAD)
    transport.close()
    loop.step()

    assert writes == [HEAD, b"closed"]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    path = scope["path"]
    response: Response = PlainTextResponse(path)
    if path == "/pieces":
        response = StreamingResponse(iter([b"a", b"b", b"c"]))
    elif path == "/empty":
        response = Response(status_code=204)
    await response(scope, receive, send)


@in_event_loop
async def test_uvicorn_serves_responses_of_each_kind_on_one_connection() -> None:
    config, state = uvicorn.Config(application, lifespan="off", log_level="critical"), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SingleWriteProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for line in ("GET /one", "GET /pieces", "GET /empty", "HEAD /head", "GET /last"):
        end = "connection: close\r\n" if line.endswith("last") else ""
        writer.write(f"{line} HTTP/1.1\r\nhost: localhost\r\n{end}\r\n".encode())
    answer = await reader.read()
    writer.close()
    server.close()

    assert answer.count(b"HTTP/1.1 2") == 5
    assert b"\r\n\r\n/oneHTTP" in answer
    assert b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\nHTTP" in answer
    assert answer.endswith(b"\r\n\r\n/last")


DIRECT, SINGLE = "api/http/server/direct_route.py", "api/http/server/single_write.py"


def sentence(what: str) -> str:
    return f"uvicorn {uvicorn.__version__} changed {what}: adapt {DIRECT} and {SINGLE}"


def test_names_that_the_protocol_uses_are_there() -> None:
    """Else the API starts with uvicorn's protocol, and each redeem request costs more."""
    assert http_protocol.find_missing_names() == [], sentence("these names")
    assert http_protocol.LedgerProtocol is DirectRouteProtocol


def test_every_name_that_is_used_of_the_base_class_is_listed() -> None:
    """A further use would be missed by the check at start."""
    used = set()
    for kind in DirectRouteProtocol.__mro__[: DirectRouteProtocol.__mro__.index(HttpToolsProtocol)]:
        tree = ast.parse(inspect.getsource(kind))
        used |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and (_is_self(node.value) or _is_super(node.value))
        }
        used -= set(vars(kind)) - set(dir(HttpToolsProtocol))
    own = {"_route", "_target", "_collected", "whole_writes", "__init__"}

    listed = http_protocol.USED_NAMES[http_protocol.HTTPTOOLS_MODULE, "HttpToolsProtocol"]
    assert used - own == set(listed)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def test_uvicorn_uses_nothing_of_a_cycle_that_an_exchange_lacks() -> None:
    """`DirectExchange` takes the place of its cycle; `body` and `more_body` are those of other requests."""
    tree = ast.parse(inspect.getsource(HttpToolsProtocol))
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "cycle"
        and _is_self(node.value.value)
    }

    assert read == {"disconnected", "keep_alive", "message_event", "response_complete", "body", "more_body"}, sentence(
        "what it uses of a cycle"
    )
    assert read - {"body", "more_body"} <= set(dir(DirectExchange))


def test_status_lines_are_whole_lines() -> None:
    """The direct route writes them."""
    assert httptools_impl.STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n", sentence("STATUS_LINE")


@pytest.mark.parametrize(
    ("owner", "name", "missing"),
    [
        (HttpToolsProtocol, "on_response_complete", "HttpToolsProtocol.on_response_complete"),
        (httptools_impl.RequestResponseCycle, "__init__", "RequestResponseCycle.disconnected"),
        (httptools_impl, "STATUS_LINE", "STATUS_LINE"),
        (httptools_impl, "HttpToolsProtocol", "HttpToolsProtocol"),
    ],
)
def test_protocol_of_uvicorn_is_used_with_a_warning_if_a_name_is_missing(
    owner: object, name: str, missing: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "configure_logs", lambda: None)
    monkeypatch.delattr(owner, name)

    assert http_protocol.choose_protocol() is AutoHTTPProtocol
    (line,) = caplog.records
    assert (line.levelname, line.message) == ("WARNING", "direct route disabled")
    assert f"{http_protocol.HTTPTOOLS_MODULE}.{missing}" in vars(line)["why"]


def test_uvicorn_is_started_with_the_protocol() -> None:
    command = container.COMMANDS["backend"]
    name = command[command.index("--http") + 1]

    assert import_from_string(name) is http_protocol.LedgerProtocol
    assert name in inspect.getsource(ledger.api_program)


APP = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
"""
LOOKS = 25
"""More than a second, so that the date changes."""
WAKEUPS_MAX = 5


async def answer(_scope: object, _receive: object, send: Callable[[dict[str, Any]], Any]) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def date_of(port: int) -> str | None:
    with suppress(OSError), closing(HTTPConnection(HOST, port)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().getheader("date")
    return None


def test_server_sleeps_dates_its_responses_and_ends_at_a_signal(tmp_path: Path) -> None:
    """As `ledger up` runs it: uvloop has to wake up for the signal."""
    (tmp_path / "tiny.py").write_text(APP)
    port = find_free_port()
    command = [sys.executable, "-m", "api.http.server.idle_server", "tiny:app", "--app-dir", str(tmp_path)]
    options = ["--loop", "uvloop", "--lifespan", "off", "--log-level", "error", "--port", str(port)]
    with subprocess.Popen([*command, *options]) as server:
        try:
            first = wait_for(lambda: date_of(port))
            process = psutil.Process(server.pid)
            before = process.num_ctx_switches().voluntary
            looks = iter([*[False] * LOOKS, True])
            wait_for(lambda: next(looks))
            wakeups = process.num_ctx_switches().voluntary - before
            second = date_of(port)
            server.send_signal(signal.SIGTERM)
            exit_code = server.wait(WAIT_S_MAX)
        finally:
            server.kill()

    assert wakeups < WAKEUPS_MAX
    assert first != second
    assert exit_code == -signal.SIGTERM


def test_server_ends_at_its_limit_of_requests() -> None:
    """The option needs uvicorn's own loop."""
    port = find_free_port()
    server = IdleServer(Config(answer, port=port, lifespan="off", log_config=None, limit_max_requests=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()

    wait_for(lambda: date_of(port))
    thread.join(WAIT_S_MAX)

    assert not thread.is_alive()


@in_event_loop
async def test_signal_before_the_main_loop_ends_it() -> None:
    """The loop looks at the flag before it waits."""
    server = IdleServer(Config(answer))
    server.handle_exit(signal.SIGTERM, None)

    await server.main_loop()


@pytest.mark.parametrize("has_date", [True, False])
def test_headers_follow_the_clock_and_the_options(monkeypatch: pytest.MonkeyPatch, *, has_date: bool) -> None:
    config = Config(answer, date_header=has_date, server_header=False, headers=[("x-one", "1")])
    config.load()
    state = DatedServerState(config)
    dates = []
    for second in (0.0, 1_700_000_000.4, 1_700_000_000.9, 1_700_000_001.0):
        monkeypatch.setattr(time, "time", lambda second=second: second)
        headers = dict(state.default_headers)
        assert headers[b"x-one"] == b"1"
        dates.append(headers.get(b"date"))

    expected = [f"{day} GMT".encode() for day in ("Thu, 01 Jan 1970 00:00:00", *["Tue, 14 Nov 2023 22:13:20"] * 2)]
    assert dates == ([*expected, b"Tue, 14 Nov 2023 22:13:21 GMT"] if has_date else [None] * 4)
