"""The process that sets up the database of `ledger up` ends with it, whatever it waits for."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from api.cli.embedded.database_setup import COMMAND, DatabaseSetup
from api.cli.embedded.stack_error import StackError
from api.cli.embedded.tcp_ports import HOST
from projections.terminal.exit_codes import ExitCode
from tests.support.ledger.settings import NO_STREAM, environment, settings_for
from tests.support.waiting import WAIT_S_MAX


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(WAIT_S_MAX)
        yield server


def variables_for(folder: Path, server: socket.socket) -> dict[str, str]:
    url = f"postgresql://ledger@{HOST}:{server.getsockname()[1]}/ledger"
    return environment(settings_for(url), folder, NO_STREAM)


def test_setup_ends_when_its_caller_is_gone(tmp_path: Path, silent_server: socket.socket) -> None:
    """A killed `ledger up` leaves no process that migrates the database later."""
    env = variables_for(tmp_path, silent_server)
    task = {"run": str(tmp_path), "env": env, "owner_url": env["DATABASE_URL"], "demo": False}
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(f"{json.dumps(task)}\n")
        process.stdin.flush()
        with silent_server.accept()[0]:
            process.stdin.close()
            assert process.wait(WAIT_S_MAX) == ExitCode.INTERRUPTED


def test_setup_ends_when_everything_is_being_ended(tmp_path: Path, silent_server: socket.socket) -> None:
    """Ctrl-C during a migration waits for nothing."""
    env = variables_for(tmp_path, silent_server)
    with pytest.raises(StackError, match="is being stopped"), DatabaseSetup(tmp_path) as setup:
        setup.run(env, env["DATABASE_URL"], demo=False, is_stopped=lambda: True)


def test_setup_that_fails_says_why_and_gives_its_exit_code(
    tmp_path: Path, silent_server: socket.socket, capfd: pytest.CaptureFixture[str]
) -> None:
    env = {**variables_for(tmp_path, silent_server), "LEDGER_LEASE_S": "long"}
    with pytest.raises(typer.Exit) as failure, DatabaseSetup(tmp_path) as setup:
        setup.run(env, env["DATABASE_URL"], demo=False, is_stopped=lambda: False)

    assert failure.value.exit_code == ExitCode.USAGE
    assert "LEDGER_LEASE_S" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
