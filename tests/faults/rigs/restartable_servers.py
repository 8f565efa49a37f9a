"""Servers that a test kills, freezes and starts again: always at the same address, on the same data."""

import dataclasses
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.process.program import Program, kill_group
from api.cli.embedded.services import postgres, valkey
from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.private_servers import PASSWORD
from tests.support.waiting import WAIT_S_MAX


class RestartableServer:
    """One server process, in the hands of a test; its `url` is the same whether it runs or not."""

    def __init__(self, url: str, program: Program, is_ready: Callable[[], bool], log: Path) -> None:
        self.url = url
        self._program = program
        self._is_ready = is_ready
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = self._program.spawn(log)
        assert wait_until(self._is_ready, WAIT_S_MAX), self._log.read_text(errors="replace")[-1000:]

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        process = self._process
        if process is None:
            return
        self._process = None
        process.send_signal(number)
        process.wait(WAIT_S_MAX)
        kill_group(process.pid)

    def restart(self, number: signal.Signals) -> None:
        self.end(number)
        self.start()

    @contextmanager
    def ended(self) -> Iterator[None]:
        self.end()
        yield
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All of its processes are stopped in the meantime: connections stay, and no answer comes."""
        family = self._family()
        for process in family:
            process.suspend()
        try:
            yield
        finally:
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]


@contextmanager
def restartable_valkey(folder: Path) -> Iterator[RestartableServer]:
    """A Valkey that keeps nothing on disk: once it is killed, all that it held is lost."""
    folder.mkdir()
    server_files = valkey.prepare_valkey(folder, find_free_port(), PASSWORD)
    program = dataclasses.replace(server_files.program, command=(*server_files.program.command, "--appendonly", "no"))
    yield from _running(RestartableServer(server_files.url, program, server_files.is_ready, folder / "valkey.log"))


@contextmanager
def restartable_postgres(folder: Path) -> Iterator[RestartableServer]:
    """A PostgreSQL with the empty database `ledger`."""
    folder.mkdir()
    folder.chmod(0o711)
    server_files = postgres.prepare_postgres(folder, find_free_port(), PASSWORD)
    yield from _running(
        RestartableServer(server_files.url, server_files.program, server_files.is_ready, folder / "postgres.log")
    )


def _running(server: RestartableServer) -> Iterator[RestartableServer]:
    try:
        server.start()
        yield server
    finally:
        server.end(signal.SIGQUIT)
