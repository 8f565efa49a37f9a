"""Engines that are checked: the suite's own, Debian's PostgreSQL 17, and the former behind PgBouncer and HAProxy.

A machine without Debian's packages runs every other test; where CI is set, these run or the run fails.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.optional_packages import may_run
from tests.support.servers.database_fronts import debian_postgres, haproxy, pgbouncer

collect_ignore = [] if may_run("PgBouncer, HAProxy and PostgreSQL 17") else ["test_other_engines.py"]


@pytest.fixture(scope="session")
def postgres_17_url(servers_folder: Path) -> Iterator[str]:
    """PostgreSQL 17 as Debian ships it."""
    with debian_postgres(servers_folder / "postgres17") as url:
        yield url


@pytest.fixture
def pooled_url(tmp_path_factory: pytest.TempPathFactory, servers_folder: Path, database_url: str) -> Iterator[str]:
    folder = servers_folder / tmp_path_factory.mktemp("pgbouncer").name
    with pgbouncer(folder, database_url) as url:
        yield url


@pytest.fixture
def proxied_url(servers_folder: Path, database_url: str) -> Iterator[str]:
    with haproxy(servers_folder / "haproxy", database_url) as url:
        yield url
