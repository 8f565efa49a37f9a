"""Commands in this process, over a real database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from projections.storage.bootstrap import LedgerStore
from tests.integration.cli.prepared_ledger import PreparedLedger
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import NO_STREAM, environment, settings_for
from tests.support.servers.databases import clone, database_of, drop


@contextmanager
def open_bench(database_url: str) -> Iterator[LedgerBench]:
    with LedgerStore.open(settings_for(database_url)) as storage:
        yield LedgerBench(storage, database_url)


@pytest.fixture(scope="module")
def shared_bench(postgres_url: str) -> Iterator[LedgerBench]:
    """An open ledger of a file, whose tests look at their own codes only."""
    name = f"shared_{uuid4().hex}"
    clone(postgres_url, name)
    with open_bench(database_of(postgres_url, name)) as bench:
        yield bench
    drop(postgres_url, name)


@pytest.fixture
def own_bench(database_url: str) -> Iterator[LedgerBench]:
    with open_bench(database_url) as bench:
        yield bench


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> LedgerBench:
    """An open ledger: that of the file, but for tests that use `database_url`. Those look at everything there is."""
    bench: LedgerBench = request.getfixturevalue(
        "own_bench" if "database_url" in request.fixturenames else "shared_bench"
    )
    return bench


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


@pytest.fixture
def ledger(
    own_bench: LedgerBench, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> Iterator[PreparedLedger]:
    """A ledger of its own; databases that a command filled are dropped."""
    prepared = PreparedLedger(own_bench, terminal, tmp_path, monkeypatch, postgres_url)
    yield prepared
    for name in prepared.copies:
        drop(postgres_url, name)
