"""The API as integrators use it: in this process by a client, and served on a port for programs of others."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from api.cli.embedded.tcp_ports import free_port
from api.cli.embedded.wait import wait_until
from tests.api.conftest import shared_site
from tests.api.site import Site

START_S = 30


@pytest.fixture(scope="module")
def site(postgres_url: str) -> Iterator[Site]:
    """One application for the module; each test has codes of its own."""
    with shared_site(postgres_url) as started:
        yield started


@pytest.fixture(scope="module")
def served(site: Site) -> Iterator[str]:  # noqa: ARG001 - its database and keys are in the environment
    """Address of the application as a process of its own, over the same database as `site`."""
    port = free_port()
    options = ("--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--no-access-log")
    command = [sys.executable, "-m", "uvicorn", "api.main:create_app", "--factory", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            assert wait_until(lambda: is_open(port), START_S)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
