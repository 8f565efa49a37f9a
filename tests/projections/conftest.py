"""A ledger on a fresh database for each test that asks for one."""

import base64
from collections.abc import Iterator

import pytest

from projections.config.settings import LedgerSettings
from projections.storage.bootstrap import Storage
from tests.projections.ledgers import LedgerBench


def settings_for(database_url: str) -> LedgerSettings:
    """Settings with made-up keys."""
    return LedgerSettings.model_validate(
        {
            "DATABASE_URL": database_url,
            "secret_key": "test",
            "peppers": "1:" + base64.b64encode(b"p" * 32).decode(),
            "master_keys": "1:" + base64.b64encode(b"m" * 32).decode(),
        }
    )


@pytest.fixture
def bench(database_url: str) -> Iterator[LedgerBench]:
    """An open ledger with helpers around it."""
    with Storage.open(settings_for(database_url)) as storage:
        yield LedgerBench(storage, database_url)
