"""The private Valkey (a Redis), the broker. It keeps its data, although losing them does no harm."""

import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

from api.cli.embedded.private_file import write_private_file
from api.cli.embedded.process.program import Program, build_server_environment
from api.cli.embedded.services import binaries
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.tcp_ports import CONNECT_S_MAX, HOST

ANSWER_BYTES_MAX = 256
"""Longer than any answer line that matters here."""
CRON_HZ = 1
"""How often it cleans up per second. Ten times, the default, is a third of what it does in an idle ledger."""
CONFIGURATION = "valkey.conf"
"""File of mode 600 in its folder that holds the password: other users of the machine can read arguments."""


WRITTEN_BY = "written_by"
"""File in its folder with the product and version that wrote the data: others may not be able to read them."""


@dataclass(frozen=True, slots=True)
class Valkey:
    """A folder that Valkey can run on.

    Attributes:
        data: Folder of its append-only file.
        port: Its port on 127.0.0.1.
        password: What every client must send first. Letters, digits, `-` and `_`.
    """

    data: Path
    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """URL of its database 0, with the password."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    @property
    def program(self) -> Program:
        """The program. It must refuse writes when it is full: an evicted message would be lost silently."""
        settings = {
            "bind": HOST,
            "port": self.port,
            "dir": self.data,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "hz": CRON_HZ,
            "daemonize": "no",
        }
        options = (word for name, value in settings.items() for word in (f"--{name}", str(value)))
        command = (str(binaries.find_valkey_server()), str(self.data / CONFIGURATION), *options)
        return Program(name="valkey", command=command, env=build_server_environment(), stage=1, stop_s_max=1.0)

    def is_ready(self) -> bool:
        """Return whether it answers PING; while it loads its file it answers with an error."""
        return self._send_command("PING").startswith(b"+PONG")

    def delete_keys(self, *keys: str) -> None:
        """Delete keys."""
        self._send_command("DEL", *keys)

    def _send_command(self, *words: str) -> bytes:
        """Authenticate, send one inline command and return its answer; an empty one if Valkey can't be reached."""
        try:
            with socket.create_connection((HOST, self.port), timeout=CONNECT_S_MAX) as connection:
                connection.sendall(f"AUTH {self.password}\r\n{' '.join(words)}\r\n".encode())
                with connection.makefile("rb") as is_port_open:
                    is_port_open.readline(ANSWER_BYTES_MAX)
                    return is_port_open.readline(ANSWER_BYTES_MAX)
        except OSError:
            return b""


def prepare_valkey(data: Path, port: int, password: str) -> Valkey:
    """Create the folder of its data if it is missing, write its password there, and empty it for another product.

    Wake-up messages lost with the data do no harm: a sweep reads due work from the database.

    Raises:
        StackError: The program is missing, or the folder can't be created.
    """
    product, major = binaries.read_version(binaries.find_valkey_server())
    written_by = data / WRITTEN_BY
    try:
        data.mkdir(mode=0o700, exist_ok=True)
        if not written_by.exists() or written_by.read_text() != f"{product} {major}\n":
            shutil.rmtree(data / "appendonlydir", ignore_errors=True)
            write_private_file(written_by, f"{product} {major}\n")
        write_private_file(data / CONFIGURATION, f"requirepass {password}\n")
    except OSError as error:
        raise StackError(f"{data} cannot be created ({error.strerror}): choose another --data-dir") from error
    return Valkey(data, port, password)
