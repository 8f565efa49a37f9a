"""An application for each test, with a client that may ask it everything, and a shell over the same database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.extremes.asking import LedgerAsker
from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.role_clients import RoleClients
from tests.support.clients.terminal import Terminal


@pytest.fixture
def app(postgres_url: str, tmp_path: Path) -> Iterator[AppClient]:
    """The application; limits are off, since thousands of requests come from one client."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_RATE_LIMIT", "off")
        patch.setenv("LEDGER_MAILBOX", str(tmp_path))
        patch.setenv("LEDGER_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")
        with shared_site(postgres_url) as started:
            yield started


@pytest.fixture
def asker(app: AppClient) -> LedgerAsker:
    return LedgerAsker(app, RoleClients(app))


@pytest.fixture
def terminal(app: AppClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:  # noqa: ARG001 - it makes the environment
    monkeypatch.setenv("LEDGER_PUBLIC_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    monkeypatch.setattr("api.cli.maintenance.rebuild_verify.lower_priority", lambda: None)
    return Terminal(capsys)
