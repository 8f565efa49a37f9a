"""TCP ports on 127.0.0.1: free ones, and whether a program listens."""

import errno
import random
import socket

from api.cli.embedded.stack_error import StackError

HOST = "127.0.0.1"
CONNECT_S_MAX = 1.0

# Below the range that Linux and macOS take outgoing ports from. A port of that range may be taken by any client
# while its server restarts, even by one that connects to the dead server and so, by TCP's rules, to itself.
PORT_MIN, PORT_MAX = 15_000, 31_999
DRAWS_MAX = 200


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
