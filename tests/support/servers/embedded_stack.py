"""`ledger up` as an operator starts it, and short ways to use it from outside."""

import http.client
import json
import mailbox
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

from api.cli.embedded.environment import read_stack_environment
from tests.support.waiting import WAIT_S_MAX, wait_for

PROGRAM = (sys.executable, "-c", "from api.cli.entry import main; main()")
"""What the installed command `ledger` runs, from this tree."""

RETRY_S: Final = 0.3
AGAIN: Final = frozenset({0, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})
"""Statuses of requests that are made again; 0: there was no answer."""

T = TypeVar("T")


class Stack:
    def __init__(
        self, folder: Path, port: int, env: Mapping[str, str] | None = None, program: Sequence[str | Path] = PROGRAM
    ) -> None:
        self.folder = folder
        self.program = program
        self.cwd = None if program is PROGRAM else folder.parent  # what is installed must not lean on this tree
        self.base = f"http://127.0.0.1:{port}"
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("LEDGER_", "DATABASE_URL", "REDIS_URL", "PROMETHEUS_"))
        }
        self.env = {**clean, "LEDGER_DATA_DIR": str(folder), **(env or {})}
        self.log = folder.with_suffix(".log").open("ab")
        self.process = subprocess.Popen(
            [*program, "up", "--port", str(port)],
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def wait_ready(self) -> None:
        self.wait(lambda: (self.folder / "ledger.json").exists() and self.get("/readyz")[1])
        self.wait(lambda: self.get("/readyz")[1].get("status") == "ready")

    @property
    def info(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "ledger.json").read_text(encoding="utf-8"))
        return document

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.info['admin_key']}"}

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        request = urllib.request.Request(  # noqa: S310 - a loopback URL made here
            self.base + path,
            method=method,
            headers={"Content-Type": "application/json", **(headers or {})},
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S_MAX) as response:  # noqa: S310 - as above
                raw, status = response.read(), response.status
        except urllib.error.HTTPError as error:
            raw, status = error.read(), error.code
        except OSError:
            return 0, {}
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode("utf-8", "replace")

    def call_until_answered(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Make one request until it is answered, for `WAIT_S_MAX` seconds at most; the last status and body."""
        ends = time.monotonic() + WAIT_S_MAX
        while True:
            try:
                status, answer = self.call(method, path, body, headers)
            except http.client.HTTPException:
                status, answer = 0, {}
            if status not in AGAIN or time.monotonic() >= ends:
                return status, answer
            time.sleep(RETRY_S)

    def get(self, path: str) -> tuple[int, Any]:
        return self.call("GET", path)

    def redeem(self, code: str, email: str = "li.wei@example.com") -> tuple[int, Any]:
        """A click in zh."""
        body = {"email": email, "code": code}
        return self.call("POST", "/api/v1/public/redeem", body, {"Accept-Language": "zh-CN"})

    def state(self, reservation_id: str) -> str:
        return str(self.get(f"/api/v1/public/redemptions/{reservation_id}")[1].get("state"))

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.program, *arguments],
            env=self.env,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=WAIT_S_MAX,
            check=False,
        )

    def python(self, program: str) -> subprocess.CompletedProcess[str]:
        """A program in the environment of the stack's processes, as an operator's shell would have it."""
        env = {**self.env, **read_stack_environment(self.folder)}
        return subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=WAIT_S_MAX, check=False
        )

    def issue(self, max_uses: int = 1, *, is_open: bool = False) -> str:
        """A new code, by the API: a command takes a second, and has tests of its own."""
        terms = {"max_uses": max_uses, "open": is_open}
        status, issued = self.call(
            "POST", "/api/v1/codes", terms, {"Authorization": f"Bearer {self.info['admin_key']}"}
        )
        assert status == HTTPStatus.CREATED, issued
        return str(issued[0]["code"])

    def mails(self) -> list[Message]:
        folder = Path(self.info["mailbox"])
        return list(mailbox.Maildir(folder, create=False)) if folder.exists() else []

    def wait(self, read_value: Callable[[], T]) -> T:
        """Wait until something is true; fails if `ledger up` ends before that."""

        def read_while_up() -> T:
            value = read_value()
            assert value or self.process.poll() is None or read_value(), f"`ledger up` ended: {self.read_log_tail()}"
            return value

        return wait_for(read_while_up, self.read_log_tail)

    def read_log_tail(self) -> str:
        return self.folder.with_suffix(".log").read_text(errors="replace")[-2000:]

    def processes(self) -> list[psutil.Process]:
        """Every process that descends from `ledger up`, or names its folder in arguments, environment or place."""
        own_processes = []
        family = {self.process.pid}
        for process in psutil.process_iter():
            try:
                texts = [*process.cmdline(), process.environ().get("LEDGER_DATA_DIR", ""), process.cwd()]
                related = process.pid in family or process.ppid() in family
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if process.pid != os.getpid() and (related or any(str(self.folder) in text for text in texts)):
                family.add(process.pid)
                own_processes.append(process)
        return own_processes

    def find_broker(self) -> psutil.Process:
        """The server of the broker; other processes may end while it is looked for."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                if process.name() == "valkey-server":
                    return process
        raise AssertionError("no broker runs")

    @contextmanager
    def beat_frozen(self) -> Iterator[None]:
        """Let nothing start a sweep in the meantime: what is sent was sent for the message of a redeem request."""
        (beat,) = [child for child in psutil.Process(self.process.pid).children() if "beat" in child.cmdline()]
        beat.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            beat.send_signal(signal.SIGCONT)

    def stop(self) -> list[psutil.Process]:
        """SIGTERM, as an operator would; what is left afterwards, killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(WAIT_S_MAX)
        left = self.processes()
        for process in left:
            process.kill()
        self.log.close()
        return left
