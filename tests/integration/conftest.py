"""An open ledger and the whole API over real databases; the broker is unavailable, and no test here depends on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import ApiSettings
from projections.storage.bootstrap import LedgerStore
from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import settings_over, shared_site, started
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import settings_for


@pytest.fixture
def bench(database_url: str) -> Iterator[LedgerBench]:
    """An open ledger with helpers around it."""
    with LedgerStore.open(settings_for(database_url)) as storage:
        yield LedgerBench(storage, database_url)


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ApiSettings:
    """Settings over a database and a folder of this test's own."""
    return settings_over(database_url, monkeypatch, tmp_path)


@pytest.fixture
def app(settings: ApiSettings) -> Iterator[AppClient]:
    """The application over it."""
    with started(settings) as app_client:
        yield app_client


@pytest.fixture(scope="module")
def shared_app(postgres_url: str) -> Iterator[AppClient]:
    """The application of a file, for those of its tests that ask and leave nothing, or look at their own codes only."""
    with shared_site(postgres_url) as app_client:
        yield app_client
