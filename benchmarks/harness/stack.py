"""The stack under test: `ledger up` in a throw-away folder, its processes and its database."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psutil
import psycopg

from api.cli.server.container import COMMANDS
from benchmarks.harness.cpu_time import read_cpu_s
from benchmarks.harness.load_generators import BenchmarkError, RedeemClient, require_loopback

ISSUED_AT_ONCE = 1_000
MEGABYTE = 1_000_000
RUN_S_MAX = 600.0
READY_S_MAX = 180.0
STOP_S_MAX = 60.0
ERROR_CHARACTERS = 1_000
"""Printed characters of an error's log line, from its end, where the error is named."""
LEDGER = (sys.executable, "-c", "from api.cli.entry import main; main()")
STOPPED_S = 0.1
"""After this pause no statement is in flight any more, so a lock that remains is held by a suspended worker."""
WITHIN_A_TRANSACTION = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
"""Every writer of the ledger holds such a lock from its first statement on, and only workers write then."""
_FIRST_LIVE = "SELECT 1 FROM reservations WHERE status = 'live' LIMIT 1"
ONE_CLIENT = {"LEDGER_RECIPIENTS_PER_ADDRESS": "1000000"}
"""All load comes from one client address, so the limit per address must not stop it. The other limits apply."""
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


def find_free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


POLL_S = 0.05
DRAIN_POLL_S = 0.25
"""Each look at the backlog is a new connection, and its CPU time counts as PostgreSQL's."""


def wait_until(condition: Callable[[], bool], seconds: float, name: str, poll_s: float = POLL_S) -> None:
    """Wait until a condition is true.

    Raises:
        BenchmarkError: It is not true within the time.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise BenchmarkError(f"{name} was not so within {seconds:.0f} s")
        time.sleep(poll_s)


class BenchmarkCode(NamedTuple):
    """A new code."""

    text: str
    code_id: UUID


@dataclass
class BenchmarkStack:
    """A running stack. `folder` is deleted at the end."""

    folder: Path
    base: str
    env: Mapping[str, str]
    process: "subprocess.Popen[bytes]"

    @property
    def info(self) -> dict[str, Any]:
        """Content of `ledger.json`."""
        document: dict[str, Any] = json.loads((self.folder / "ledger" / "ledger.json").read_text())
        return document

    @property
    def database_url(self) -> str:
        """URL of the database."""
        return require_loopback(self.info["database_url"])

    def issue(self, max_uses: int | None = None) -> str:
        """Issue an open code and return it."""
        return self.issue_many(1, max_uses)[0].text

    def create_campaign(self, **terms: int) -> str:
        """Create a campaign with these terms and return its id."""
        with closing(RedeemClient(self.base)) as client:
            return str(client.post("/api/v1/campaigns", {"name": "benchmark", **terms}, self._authorization())["id"])

    def issue_many(self, count: int, max_uses: int | None = None, campaign: str | None = None) -> list[BenchmarkCode]:
        """Issue open codes, which may belong to a campaign."""
        codes: list[BenchmarkCode] = []
        with closing(RedeemClient(self.base)) as client:
            while len(codes) < count:
                body = {"count": min(count - len(codes), ISSUED_AT_ONCE), "max_uses": max_uses, "open": True}
                answer = client.post("/api/v1/codes", body | {"campaign": campaign}, self._authorization())
                codes += [BenchmarkCode(issued["code"], UUID(issued["id"])) for issued in answer]
        return codes

    def run_module(self, module: str, *arguments: str) -> str:
        """Run a module with the environment of the API and return what it prints.

        Raises:
            BenchmarkError: It failed.
        """
        # The ledger's own processes don't look for modules where they are started.
        env = {**self._api().environ(), "PYTHONPATH": str(Path(__file__).parents[2])}
        command = (sys.executable, "-m", module, *arguments)
        result = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=RUN_S_MAX)
        if result.returncode:
            raise BenchmarkError(f"{module} ended with {result.returncode}: {result.stderr.strip()[-300:]}")
        return result.stdout

    def measure_rss_mb(self) -> dict[str, float]:
        """Measure the resident memory of the API process and of the largest worker process, in megabytes."""
        workers = [worker.memory_info().rss for worker in self.workers()]
        return {
            "api_rss_mb": self._api().memory_info().rss / MEGABYTE,
            "worker_rss_mb": max(workers, default=0) / MEGABYTE,
        }

    def read_cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds so far by part of the stack; see `benchmarks.harness.cpu_time`."""
        return read_cpu_s(self.list_processes())

    def list_processes(self) -> list[psutil.Process]:
        """List `ledger up` and all processes below it."""
        return [psutil.Process(self.process.pid), *self._children()]

    def query_rows(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        with psycopg.connect(self.database_url, autocommit=True) as conn:
            cursor = conn.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def check_durability(self) -> None:
        """Check that the server has not traded durability for speed.

        Raises:
            BenchmarkError: One of its settings is off.
        """
        for name in DURABLE:
            if self.query_rows(f"SHOW {name}") != [("on",)]:
                raise BenchmarkError(f"{name} is not on: these numbers would mean nothing")

    def workers(self) -> list[psutil.Process]:
        """Find Celery's worker processes, without beat."""
        processes = []
        for child in self._children():
            with suppress(psutil.Error):
                words = child.cmdline()
                if any("celery" in word for word in words) and "beat" not in words:
                    processes.append(child)
        return processes

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.info['admin_key']}"}

    def _children(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    @contextmanager
    def pause_workers(self) -> Iterator[None]:
        """Suspend the workers, none of them within a transaction, and resume them at the end."""
        stopped = self.workers()
        for worker in stopped:
            worker.suspend()
        try:
            wait_until(lambda: self._pause_between_transactions(stopped), 60, "workers between transactions")
            yield
        finally:
            for worker in stopped:
                with suppress(psutil.Error):
                    worker.resume()

    def _pause_between_transactions(self, workers: list[psutil.Process]) -> bool:
        """Whether no suspended worker holds a lock; if one does, all run on for a moment."""
        time.sleep(STOPPED_S)
        if not self.query_rows(WITHIN_A_TRANSACTION)[0][0]:
            return True
        for worker in workers:
            worker.resume()
        time.sleep(STOPPED_S / 4)
        for worker in workers:
            worker.suspend()
        return False

    def count_live(self) -> int:
        """Count the pending reservations."""
        return int(self.query_rows("SELECT count(*) FROM reservations WHERE status = 'live'")[0][0])

    def wait_until_drained(self, seconds: float = 240.0) -> None:
        """Wait until no reservation is pending."""
        wait_until(lambda: not self.query_rows(_FIRST_LIVE), seconds, "an empty backlog", DRAIN_POLL_S)

    @contextmanager
    def run_apis(self, count: int) -> Iterator[list[str]]:
        """Run this number of API processes on the same database and give their URLs."""
        env = self._api().environ()
        with ExitStack() as others:
            yield [
                self.base,
                *(
                    others.enter_context(_serve(COMMANDS["backend"], find_free_port(), env)).base
                    for _ in range(count - 1)
                ),
            ]

    def _api(self) -> psutil.Process:
        return next(child for child in self._children() if "api.main:create_app" in child.cmdline())


class ServedApp(NamedTuple):
    """An application that runs in a separate process."""

    base: str
    process: psutil.Process


@contextmanager
def serve_app(
    app: str, port: int, env: Mapping[str, str] | None = None, *, factory: bool = False
) -> Iterator[ServedApp]:
    """Run an ASGI application in uvicorn, with the options of the ledger's API but for its protocol."""
    options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    command = ("uvicorn", app, *options, "--no-server-header", *(["--factory"] if factory else []))
    with _serve(command, port, env) as served:
        yield served


@contextmanager
def _serve(command: Sequence[str], port: int, env: Mapping[str, str] | None) -> Iterator[ServedApp]:
    """Run a module that listens on a port of loopback."""
    arguments = [sys.executable, "-m", *command, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(arguments, env=dict(env) if env else None, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _is_port_open(port), READY_S_MAX, command[1])
        yield ServedApp(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(STOP_S_MAX)


@contextmanager
def run_stack(command: Sequence[str] = LEDGER, **env: str) -> Iterator[BenchmarkStack]:
    """Start a stack in a new folder, by this checkout or another `ledger`; at the end stop it and delete the folder."""
    folder = Path(tempfile.mkdtemp(prefix="ledger-bench-"))
    folder.chmod(0o711)  # the account that PostgreSQL runs as must be able to enter
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LEDGER_", "PROMETHEUS_"))}
    # A worker that is killed because it did not end in time leaves its temporary folder; it is deleted with this one.
    environment = {**inherited, "LEDGER_DATA_DIR": str(folder / "ledger"), "TMPDIR": str(folder), **ONE_CLIENT, **env}
    port = find_free_port()
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "up", "--no-demo", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stack = BenchmarkStack(folder, f"http://127.0.0.1:{port}", environment, process)
    try:
        _wait_until_ready(stack)
        stack.check_durability()
        yield stack
    except BenchmarkError as error:
        raise BenchmarkError(f"{error}{_find_last_error(folder)}") from error
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S_MAX)
        finally:
            process.kill()
            shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(stack: BenchmarkStack) -> None:
    """Wait for `ledger.json`, which the stack writes when it is ready."""
    ready = stack.folder / "ledger" / "ledger.json"
    wait_until(lambda: ready.exists() or stack.process.poll() is not None, READY_S_MAX, "a ready stack")
    if stack.process.poll() is not None:
        raise BenchmarkError(f"the stack ended: {(stack.folder / 'up.log').read_text()[-300:]}")


def _find_last_error(folder: Path) -> str:
    """Return the last error that the API logged: the folder with its log is about to be deleted."""
    log = folder / "ledger" / "logs" / "api.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line for line in lines if '"level":"error"' in line]
    return f"; the API logged: {errors[-1][-ERROR_CHARACTERS:]}" if errors else ""


def _is_port_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
