"""Private servers for tests, started and ended the way `ledger up` does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.process.supervisor import Supervisor
from api.cli.embedded.services import postgres, valkey
from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.databases import CREATED
from tests.support.waiting import WAIT_S_MAX

PASSWORD = "only-for-tests"


@contextmanager
def postgres_server(folder: Path, *options: str) -> Iterator[str]:
    """A PostgreSQL with its data below the folder; gives the libpq URI of the owner of its database `ledger`.

    Args:
        folder: For data and logs.
        options: More words of its command, such as `-c` and a setting.
    """
    CREATED["servers"] += 1
    server = postgres.prepare_postgres(folder, find_free_port(), PASSWORD)
    program = server.program
    with Supervisor(folder / "logs") as supervisor:
        supervisor.start(replace(program, command=(*program.command, *options)))
        assert wait_until(server.is_ready, WAIT_S_MAX), supervisor.last_log_line("postgres")
        yield server.url


@contextmanager
def valkey_server(folder: Path) -> Iterator[str]:
    """A Valkey with its data below the folder; gives its Redis URL."""
    server = valkey.prepare_valkey(folder, find_free_port(), PASSWORD)
    with Supervisor(folder / "logs") as supervisor:
        supervisor.start(server.program)
        assert wait_until(server.is_ready, WAIT_S_MAX), supervisor.last_log_line("valkey")
        yield server.url
