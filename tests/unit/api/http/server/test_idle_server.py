import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest
from uvicorn import Config

from api.cli.embedded.tcp_ports import HOST, find_free_port
from api.http.server.idle_server import DatedServerState, IdleServer
from tests.support.waiting import WAIT_S_MAX, wait_for

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


def test_signal_before_the_main_loop_ends_it() -> None:
    """The loop looks at the flag before it waits."""
    server = IdleServer(Config(answer))
    server.handle_exit(signal.SIGTERM, None)

    asyncio.run(asyncio.wait_for(server.main_loop(), WAIT_S_MAX))


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
