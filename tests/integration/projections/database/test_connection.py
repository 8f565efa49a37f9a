"""What a database URL sets holds for every connection, next to what the ledger sets itself."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import tuple_row

from projections.config.url_validation import SET_BY_THE_LEDGER
from projections.database.connection import (
    BY_INDEX_OPTIONS,
    LOG_SCAN_OPTIONS,
    connect,
    connect_to_standby,
    connection_options,
    open_maintenance_connection,
)
from projections.database.datastore import LedgerDatastore
from projections.database.migrations import migrate
from projections.database.roles import eraser_role_of, owns_schema
from projections.storage.bootstrap import LedgerStore
from projections.verification.verify import verify
from tests.integration.projections.database.test_roles import PASSWORD, as_role
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.random_history import RandomHistory
from tests.support.ledger.rebuilds import NoProgress, rebuilt
from tests.support.ledger.settings import settings_for
from tests.support.servers.databases import database_of, drop, execute

Opener = Callable[[str], AbstractContextManager[psycopg.Connection[Any]]]


def from_pool(url: str) -> AbstractContextManager[psycopg.Connection[Any]]:
    """A connection of the pool, which is closed with it."""
    datastore = LedgerDatastore(url, pool_size=1, wait_s=10)
    datastore.pool.open()
    return datastore.get_connection()


OPENERS: dict[str, tuple[Opener, str]] = {
    "connect": (connect, "15s"),
    "standby": (lambda url: connect_to_standby(url, 5), "0"),
    "maintenance": (lambda url: open_maintenance_connection(url, "fold"), "0"),
    "pool": (from_pool, "15s"),
}


@pytest.mark.parametrize(("opener", "statement_timeout"), OPENERS.values(), ids=OPENERS)
def test_session_settings_and_timeouts_of_the_url_hold(
    opener: Opener, statement_timeout: str, database_url: str
) -> None:
    of_url = {"options": "-csearch_path=shop,public -c work_mem=7MB", "connect_timeout": 9, "keepalives_idle": 77}

    with (
        opener(f"{database_url}?{urlencode(of_url, quote_via=quote)}") as conn,
        conn.cursor(row_factory=tuple_row) as cursor,
    ):
        for setting, value in (
            *(("search_path", "shop,public"), ("work_mem", "7MB")),
            *(("statement_timeout", statement_timeout), ("TimeZone", "UTC")),
        ):
            assert cursor.execute(f"SHOW {setting}".encode()).fetchall() == [(value,)]
        used = conn.info.get_parameters()
        assert (used["connect_timeout"], used["keepalives_idle"], used["keepalives_interval"]) == ("9", "77", "2")


def test_settings_that_urls_may_not_have_are_those_of_the_ledger() -> None:
    """A further setting of the ledger would replace that of a URL in silence."""
    texts = [connection_options()["options"], BY_INDEX_OPTIONS, LOG_SCAN_OPTIONS, "-c maintenance_work_mem=128MB"]
    names = {word.partition("=")[0].lower() for text in texts for word in text.split() if "=" in word}

    assert names == set(SET_BY_THE_LEDGER)


@pytest.fixture
def owner_url(postgres_url: str) -> Iterator[str]:
    """An empty database with a schema that the URL puts first; dropped after the test."""
    name = f"test_{uuid4().hex}"
    execute(postgres_url, f"CREATE DATABASE {name}")
    execute(database_of(postgres_url, name), "CREATE SCHEMA shop")
    yield f"{database_of(postgres_url, name)}?options=-csearch_path%3Dshop"
    drop(postgres_url, name)


@pytest.fixture
def running_url(owner_url: str) -> Iterator[str]:
    """The same database as a role of few rights, migrated."""
    role = f"run_{uuid4().hex[:12]}"
    url = as_role(owner_url, role, PASSWORD)
    migrate(owner_url, url)
    yield url
    for name in (role, eraser_role_of(role)):
        execute(owner_url, f"GRANT {name} TO CURRENT_USER WITH INHERIT TRUE")
        execute(owner_url, f"DROP OWNED BY {name}")
    for name in (role, eraser_role_of(role)):
        execute(owner_url, f"DROP ROLE {name}")


def test_whole_history_runs_in_the_schema_of_the_url(owner_url: str, running_url: str) -> None:
    """Migration, redeem requests, rebuild and verification read and write there alone, also with few rights."""
    with LedgerStore.open(settings_for(running_url)) as storage:
        bench = LedgerBench(storage, owner_url)
        RandomHistory(bench, seed=4).go_on(40)
        rebuilt(bench, apply=True)

    assert verify(running_url, timedelta(days=9), NoProgress(), 10).wrong == 0
    assert owns_schema(owner_url)
    assert not owns_schema(running_url)
    with connect(owner_url) as conn:
        schemas = conn.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE tableowner = current_user").fetchall()
    assert schemas == [("shop",)]
