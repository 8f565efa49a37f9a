"""One application for all tests of a file, with a session and an API key for each role."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.role_clients import RoleClients


@pytest.fixture(scope="module")
def app(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppClient]:
    """The application and its database; it shows a mailbox, as the demo does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_MAILBOX", str(_mailbox(tmp_path_factory)))
        with shared_site(postgres_url) as started:
            yield started


@pytest.fixture(scope="module")
def role_clients(app: AppClient) -> RoleClients:
    return RoleClients(app)


def _mailbox(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("mailbox")
