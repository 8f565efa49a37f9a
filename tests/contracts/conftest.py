"""Every test of the contract runs on both stores."""

import base64
from collections.abc import Iterator

import pytest

from projections.config.settings import LedgerSettings
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.random_commands import START
from tests.support.ledger.stores import ContractStore, memory_store, postgres_store


def settings_for(database_url: str) -> LedgerSettings:
    return LedgerSettings.model_validate(
        {
            "DATABASE_URL": database_url,
            "secret_key": "test",
            "peppers": "1:" + base64.b64encode(b"p" * 32).decode(),
            "master_keys": "1:" + base64.b64encode(b"m" * 32).decode(),
        }
    )


@pytest.fixture
def postgres(database_url: str) -> Iterator[ContractStore]:
    with LedgerStore.open(settings_for(database_url)) as storage:
        yield postgres_store(storage)


@pytest.fixture
def memory() -> ContractStore:
    return memory_store(settings_for("postgresql:///none").open_vault(), START)


@pytest.fixture(params=["postgres", "memory"])
def store(request: pytest.FixtureRequest) -> ContractStore:
    store: ContractStore = request.getfixturevalue(request.param)
    return store
