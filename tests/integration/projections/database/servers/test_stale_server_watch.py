"""A primary that is frozen, cut off from its standby, or deposed holds no transaction for long."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import Connection

from api.cli.embedded.tcp_ports import HOST
from projections.database.connection import connect
from projections.database.errors import StorageUnavailableError
from projections.database.migrations import migrate
from projections.database.servers import stale_server_watch
from projections.database.servers.bounded_connection import BoundedConnection
from projections.database.servers.known_servers import KNOWN_SERVERS, StalePrimaryError
from projections.database.servers.stale_server_watch import StaleServerWatch
from projections.monitoring.commit_probe import UNCONFIRMED, CommitProbe, NoCommitError, check_commit
from projections.storage.bootstrap import LedgerStore
from projections.storage.group_commit import AsyncGroupCommit, execute_isolated
from projections.storage.pipelined_execute import PipelinedExecute
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.servers.postgres_clusters import PostgresCluster, any_of, server
from tests.support.waiting import WAIT_S_MAX, wait_for

pytestmark = pytest.mark.night(of="outages")


@pytest.fixture
def pair(servers_folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[PostgresCluster, PostgresCluster]]:
    """A primary with the ledger's schema, and a standby that has all of it; this process has seen neither."""
    folder = servers_folder / f"stale-{request.node.name}"[:60]
    folder.mkdir()
    folder.chmod(0o711)
    with server(folder / "one") as primary, ExitStack() as ends:
        primary.configure(fsync="off")
        primary.start()
        migrate(primary.url)
        standby = primary.copy_of(folder / "two", is_standby=True)
        ends.callback(standby.kill)
        standby.start()
        yield primary, standby


def wait_for_standby(primary: PostgresCluster, standby: PostgresCluster) -> None:
    with psycopg.connect(primary.url) as one, psycopg.connect(standby.url, autocommit=True) as two:
        written = (one.execute("SELECT pg_current_wal_lsn()").fetchone() or (None,))[0]
        caught_up = "SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)"
        wait_for(lambda: two.execute(caught_up, (written,)).fetchone() == (True,))


def redeem_until_accepted(bench: LedgerBench, code: str, email: str) -> None:
    """Ask again while the database is unavailable, as clients do."""

    def is_accepted() -> bool:
        try:
            done(bench.redeem(code, email))
        except StorageUnavailableError:
            return False
        return True

    wait_for(is_accepted)


async def redeem_in_group_until_accepted(bench: LedgerBench, code: str, email: str) -> None:
    """Do the same in an event loop, as the API does."""
    commit = AsyncGroupCommit(PipelinedExecute(bench.storage), bench.storage.ledger.execute, wait_s=5.0)
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            try:
                result = await commit.run(bench.reserve(code, email))
            except (StorageUnavailableError, TimeoutError):
                continue
            assert done(result).changed
            break
        await commit.aclose()


class CountingPool:
    """A pool that counts how often it is asked what is in use."""

    database_url = ""

    def __init__(self) -> None:
        self.questions = 0
        self.used: list[Any] = [object()]

    def list_used(self, for_s: float) -> list[Connection[Any]]:
        self.questions += 1
        return [] if for_s else self.used

    def list_all(self) -> list[Connection[Any]]:
        return self.used


def test_watch_rests_while_no_connection_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks again and again while one is, and rests when it was returned."""
    monkeypatch.setattr(stale_server_watch, "LOOK_S", 0.01)
    pool = CountingPool()
    with closing(StaleServerWatch(pool)) as watch:
        time.sleep(0.2)
        assert pool.questions == 0

        watch.note_lent()
        wait_for(lambda: pool.questions > 10)
        pool.used = []
        wait_for(lambda: not watch._lent.is_set())


def test_redeem_reaches_the_promoted_standby_when_the_primary_freezes(
    pair: tuple[PostgresCluster, PostgresCluster],
) -> None:
    """Nothing is lost; and the former primary, thawed and first in the URL, gets no connection any more."""
    primary, standby = pair
    url = any_of(primary, standby)
    with LedgerStore.open(settings_for(url)) as storage:
        bench = LedgerBench(storage, url)
        code = bench.issue(10, bound=False)
        first = done(bench.redeem(code, "a@example.com")).require_reservation().reservation_id
        wait_for_standby(primary, standby)
        with primary.frozen():
            standby.promote()
            asyncio.run(redeem_in_group_until_accepted(bench, code, "b@example.com"))
            redeem_until_accepted(bench, code, "c@example.com")
            assert bench.reader.find_reservation(first) is not None

    with BoundedConnection[object].connect(url) as conn:  # the thawed one says that it is a primary, too
        assert conn.server is not None
        assert (conn.info.port, conn.server.timeline) == (standby.postgres_files.port, 2)
    with psycopg.connect(primary.url) as other:
        assert other.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    with pytest.raises(StalePrimaryError, match="is a former primary: its timeline is 1, and timeline 2 was seen"):
        connect(primary.url)


def test_commit_that_no_standby_confirms_is_unknown_and_then_found_here_or_on_the_promoted_one(
    pair: tuple[PostgresCluster, PostgresCluster],
) -> None:
    """The primary lives and answers questions, as when only the program that manages it died."""
    primary, standby = pair
    with LedgerStore.open(settings_for(primary.url)) as storage:
        bench = LedgerBench(storage, primary.url)
        code = bench.issue(10, bound=False)
        wait_for_standby(primary, standby)
        confirm_by(primary, "gone")
        with pytest.raises(StorageUnavailableError):  # a worker reports an outage, not a bug of the command
            execute_isolated(storage.ledger.execute, [bench.reserve(code, "a@example.com")])
        with pytest.raises(NoCommitError, match=UNCONFIRMED):
            CommitProbe(storage.datastore).check()
        with pytest.raises(NoCommitError, match=UNCONFIRMED):
            check_commit(primary.url)
        assert bench.reader.find_reservation(uuid4()) is None, "questions are answered"
        confirm_by(primary, "")
        redeem_until_accepted(bench, code, "a@example.com")
        CommitProbe(storage.datastore).check()
        assert bench.rows("SELECT count(*) FROM ledger_events") == [(2,)]

    with LedgerStore.open(settings_for(any_of(*pair))) as storage:
        bench = LedgerBench(storage, any_of(*pair))
        wait_for_standby(primary, standby)
        confirm_by(primary, "gone")
        with ThreadPoolExecutor(1) as threads:
            redeem = threads.submit(redeem_until_accepted, bench, code, "b@example.com")
            wait_for(lambda: KNOWN_SERVERS.is_suspected((HOST, str(primary.postgres_files.port))))
            standby.promote()
            redeem.result(WAIT_S_MAX)
    with psycopg.connect(standby.url) as conn:
        assert conn.execute("SELECT reserved FROM code_balances").fetchone() == (2,)


def confirm_by(primary: PostgresCluster, standbys: str) -> None:
    """From now on each commit waits for these standbys."""
    primary.configure(synchronous_standby_names=standbys)
    primary.reload()
    with psycopg.connect(primary.url, autocommit=True) as conn:
        wait_for(lambda: conn.execute("SHOW synchronous_standby_names").fetchone() == (standbys,))
