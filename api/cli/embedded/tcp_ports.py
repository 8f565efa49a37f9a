"""TCP ports on 127.0.0.1: which are free, which answer."""

import errno
import random
import socket

from api.cli.embedded.errors import StackError

HOST = "127.0.0.1"

# Below the range that Linux and macOS take outgoing ports from. A port of that range may be taken by any client
# while its server restarts, even by one that connects to the dead server and so, by TCP's rules, to itself.
LOWEST, HIGHEST = 15_000, 31_999
TRANSACTIONS_PER_BATCH_MAX = 200
CONNECT_S_MAX = 1.0


def free_port() -> int:
    """A port that nothing listens on now.

    Raises:
        StackError: None was found.
    """
    chance = random.SystemRandom()
    for _ in range(TRANSACTIONS_PER_BATCH_MAX):
        port = chance.randint(LOWEST, HIGHEST)
        if not is_taken(port):
            return port
    raise StackError(f"no free port was found on {HOST}: end some of the programs that listen there")


class FreePorts:
    """Free ports for programs that bind them later: no two are the same.

    Args:
        spoken_for: Ports that somebody is going to bind.
    """

    def __init__(self, *spoken_for: int) -> None:
        self._given = set(spoken_for)

    def draw(self) -> int:
        """One more.

        Raises:
            StackError: None was found.
        """
        for _ in range(TRANSACTIONS_PER_BATCH_MAX):
            if (port := free_port()) not in self._given:
                self._given.add(port)
                return port
        raise StackError(f"no free port was found on {HOST}: end some of the programs that listen there")


def is_taken(port: int) -> bool:
    """Whether binding the port fails because another program has it.

    Raises:
        StackError: It can't be bound for another reason, such as a port below 1024 and an ordinary user.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as refused:
            if refused.errno == errno.EADDRINUSE:
                return True
            raise StackError(f"port {port} can't be used ({refused.strerror}): choose another with --port") from refused
        return False


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((HOST, port), timeout=CONNECT_S_MAX):
            return True
    except OSError:
        return False
