"""The private Valkey (a Redis): the broker. What it holds can be lost without harm, and is kept all the same."""

import socket
from dataclasses import dataclass, field
from pathlib import Path

from api.cli.embedded.process.program import Program, build_server_environment
from api.cli.embedded.services import binaries
from api.cli.embedded.util import CONNECT_S_MAX, HOST, StackError, write_private_file

ANSWER_BYTES_MAX = 256
"""Longer than any line that is waited for."""
CONFIGURATION = "valkey.conf"
"""File of mode 600 in its folder that holds the password: other users of the machine can read arguments."""


@dataclass(frozen=True, slots=True)
class Valkey:
    """A folder that is ready to be run.

    Attributes:
        data: Where it keeps its append-only file.
        port: Where it will listen on 127.0.0.1.
        password: What every client must send first. Letters, digits, `-` and `_`.
    """

    data: Path
    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """Database 0 of it, with the password."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

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
        command = (str(binaries.find_valkey_program("valkey-server")), str(self.data / CONFIGURATION), *options)
        return Program(name="valkey", command=command, env=build_server_environment(), stage=1, stop_s_max=1.0)

    def is_ready(self) -> bool:
        """Whether it answers; while it loads its file it says so instead."""
        return self._send_command("PING").startswith(b"+PONG")

    def delete_keys(self, *keys: str) -> None:
        """Delete keys."""
        self._send_command("DEL", *keys)

    def _send_command(self, *words: str) -> bytes:
        """One inline command after the password; no answer if it can't be reached."""
        try:
            with socket.create_connection((HOST, self.port), timeout=CONNECT_S_MAX) as connection:
                connection.sendall(f"AUTH {self.password}\r\n{' '.join(words)}\r\n".encode())
                with connection.makefile("rb") as is_port_open:
                    is_port_open.readline(ANSWER_BYTES_MAX)
                    return is_port_open.readline(ANSWER_BYTES_MAX)
        except OSError:
            return b""


def prepare_valkey(data: Path, port: int, password: str) -> Valkey:
    """Make sure that the folder of its data exists, and write its password there.

    Raises:
        StackError: No binaries, or the folder can't be made.
    """
    binaries.find_valkey_program("valkey-server")
    try:
        data.mkdir(mode=0o700, exist_ok=True)
        write_private_file(data / CONFIGURATION, f"requirepass {password}\n")
    except OSError as refused:
        raise StackError(f"{data} can't be made ({refused.strerror}): choose another --data-dir") from refused
    return Valkey(data, port, password)
