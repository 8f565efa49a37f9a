"""What the modules of the embedded stack share: its errors, private files, bounded waits and TCP ports on 127.0.0.1."""

import errno
import os
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path

from projections.terminal.exit_codes import ExitCode

HOST = "127.0.0.1"
POLL_S = 0.05
CONNECT_S_MAX = 1.0

# Below the range that Linux and macOS take outgoing ports from. A port of that range may be taken by any client
# while its server restarts, even by one that connects to the dead server and so, by TCP's rules, to itself.
PORT_MIN, PORT_MAX = 15_000, 31_999
DRAWS_MAX = 200


class StackError(Exception):
    """The stack cannot do what was requested. The message is one sentence for the operator and names the remedy.

    Attributes:
        exit_code: SERVICE if something that `ledger up` needs fails, USAGE if it should be called differently.
    """

    def __init__(self, sentence: str, exit_code: ExitCode = ExitCode.SERVICE) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def write_private_file(path: Path, text: str) -> None:
    """Write a whole file of mode 600 so that a reader sees the old text or the new one, never a part.

    Raises:
        OSError: The folder can't be written to.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def wait_until(condition: Callable[[], bool], s_max: float) -> bool:
    """Poll a condition until it is true.

    Args:
        condition: Is called every POLL_S seconds.
        s_max: Seconds after which to stop.

    Returns:
        Whether the condition became true in time.
    """
    deadline = time.monotonic() + s_max
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def find_free_port() -> int:
    """Find a port that no program listens on now.

    Raises:
        StackError: None was found.
    """
    chance = random.SystemRandom()
    for _ in range(DRAWS_MAX):
        port = chance.randint(PORT_MIN, PORT_MAX)
        if not is_port_in_use(port):
            return port
    raise StackError(f"no free port on {HOST}: stop some of the programs that listen there")


class FreePorts:
    """Free ports for programs that bind them later: no two are the same.

    Args:
        reserved: Ports that another program is going to bind.
    """

    def __init__(self, *reserved: int) -> None:
        self._drawn = set(reserved)

    def draw(self) -> int:
        """Find a free port that was not drawn before.

        Raises:
            StackError: None was found.
        """
        for _ in range(DRAWS_MAX):
            if (port := find_free_port()) not in self._drawn:
                self._drawn.add(port)
                return port
        raise StackError(f"no free port on {HOST}: stop some of the programs that listen there")


def is_port_in_use(port: int) -> bool:
    """Return whether binding the port fails because another program has it.

    Raises:
        StackError: It can't be bound for another reason, such as a port below 1024 and an ordinary user.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise StackError(f"port {port} cannot be used ({error.strerror}): choose another with --port") from error
        return False


def is_port_open(port: int) -> bool:
    """Return whether a program accepts connections on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=CONNECT_S_MAX):
            return True
    except OSError:
        return False
