"""Commands in this process, over a real database that only they use."""

from pathlib import Path

import pytest

from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import NO_STREAM, environment, settings_for


@pytest.fixture
def terminal(
    bench: LedgerBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    """A shell in which the ledger's database is named, and no broker."""
    for name, value in environment(settings_for(bench.database_url), tmp_path, NO_STREAM).items():
        monkeypatch.setenv(name, value)
    # Of this process, which runs other tests afterwards, it could not be undone.
    monkeypatch.setattr("api.cli.maintenance.rebuild_verify.lower_priority", lambda: None)
    return Terminal(capsys)
