"""Commands in this process, over a real database that only they use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from projections.config.settings import LedgerSettings
from projections.storage.bootstrap import Storage
from tests.cli.terminal import Terminal
from tests.projections.conftest import settings_for
from tests.projections.ledgers import LedgerBench

NOBODY = "redis://127.0.0.1:1/0"


def environment(settings: LedgerSettings, folder: Path, redis_url: str) -> dict[str, str]:
    """What a shell would have set."""
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": redis_url,
        "LEDGER_DATA_DIR": str(folder),
        "LEDGER_SECRET_KEY": settings.secret_key.get_secret_value(),
        "LEDGER_PEPPERS": settings.peppers.get_secret_value(),
        "LEDGER_MASTER_KEYS": settings.master_keys.get_secret_value(),
        "LEDGER_PUBLIC_URL": "http://127.0.0.1:1",
        "LANG": "en_US.UTF-8",
        "LC_ALL": "en_US.UTF-8",
        "COLUMNS": "200",
    }


@pytest.fixture
def bench(database_url: str) -> Iterator[LedgerBench]:
    """An open ledger with helpers around it."""
    with Storage.open(settings_for(database_url)) as storage:
        yield LedgerBench(storage, database_url)


@pytest.fixture
def terminal(
    bench: LedgerBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    """A shell in which the ledger's database is named, and no broker."""
    for name, value in environment(settings_for(bench.database_url), tmp_path, NOBODY).items():
        monkeypatch.setenv(name, value)
    # Of this process, which runs other tests afterwards, it could not be undone.
    monkeypatch.setattr("api.cli.maintenance.rebuild_verify.lower_priority", lambda: None)
    return Terminal(capsys)
