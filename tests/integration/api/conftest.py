"""The API as integrators use it: in this process by a client, and served on a port for programs of others."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.tcp_ports import find_free_port
from tests.support.clients.app_client import AppClient

START_S = 30


@pytest.fixture(scope="module")
def served(shared_app: AppClient) -> Iterator[str]:  # noqa: ARG001 - its database and keys are in the environment
    """Address of the application as a process of its own, over the same database as `shared_app`."""
    port = find_free_port()
    options = ("--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--no-access-log")
    command = [sys.executable, "-m", "uvicorn", "api.main:create_app", "--factory", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            assert wait_until(lambda: is_open(port), START_S)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def is_open(port: int) -> bool:
    """Return whether a program listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
