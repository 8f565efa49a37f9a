"""What a process caches of the store: bounded, forgotten where the database may be older, and never in the way."""

from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.persistence import OperationalError

from domain.errors import CodeHeld
from domain.ports import PipelineSteps
from projections.database.migrations import migrate
from projections.database.servers.per_server import PerServer
from projections.event_store.caches import LRUCache, StoreCaches
from projections.event_store.unit_of_work import PostgresUnitOfWork
from projections.storage.bootstrap import LedgerStore
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.optional_packages import may_run
from tests.support.servers.database_fronts import pgbouncer
from tests.support.servers.postgres_clusters import server

CACHED = 4
FRONTS = ["none", "pgbouncer"] if may_run("PgBouncer, HAProxy and PostgreSQL 17") else ["none"]


def test_states_in_memory_are_bounded() -> None:
    """The state that was not used for the longest time goes: memory does not grow with the number of codes."""
    cache: LRUCache[UUID, int] = LRUCache(2)
    first, second, third = (UUID(int=number) for number in range(3))
    cache.put(first, 0)
    cache.put(second, 1)
    assert cache.get(first) == 0

    cache.put(third, 2)

    assert (cache.get(first), cache.get(third), len(cache)) == (0, 2, 2)
    with pytest.raises(KeyError):
        cache.get(second)


def test_redeems_are_answered_after_full_caches_were_dropped(
    bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More codes than a process caches, and a connection ends: each redeem that was committed is answered so."""
    bench.storage.recorder.caches = PerServer(partial(StoreCaches, CACHED))
    codes = [bench.issue() for _ in range(3 * CACHED)]
    commit, ended = PostgresUnitOfWork.commit, count()

    def end_first(self: PostgresUnitOfWork) -> PipelineSteps[None]:
        if not next(ended):
            raise OperationalError("terminating connection due to administrator command")
        yield from commit(self)

    monkeypatch.setattr(PostgresUnitOfWork, "commit", end_first)

    results = [bench.redeem(code, "li.wei@example.com") for code in codes]

    assert [done(result).changed for result in results] == [True] * len(codes)
    assert bench.rows("SELECT count(*) FROM reservations") == [(len(codes),)]
    assert len(bench.storage.recorder.caches.newest.codes) == CACHED


def test_error_of_a_cache_does_not_fail_a_committed_batch(
    bench: LedgerBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The commands are committed: whatever fails in the caches is logged."""

    def fail(*_: object) -> None:
        raise KeyError("full")

    code = bench.issue()
    monkeypatch.setattr(StoreCaches, "publish_claims", fail)

    assert done(bench.redeem(code, "li.wei@example.com")).changed
    assert "work after a commit failed" in caplog.text


def test_transaction_that_began_before_caches_were_dropped_publishes_nothing(bench: LedgerBench) -> None:
    """Its states may be of a database that lost them since."""
    code, caches = bench.issue(), bench.storage.recorder.caches
    publish = PostgresUnitOfWork.publish_to_caches

    def forget_first(self: PostgresUnitOfWork) -> None:
        caches.forget()
        publish(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresUnitOfWork, "publish_to_caches", forget_first)
        done(bench.redeem(code, "li.wei@example.com"))

    assert len(caches.newest.codes) == 0


@pytest.mark.parametrize("front", FRONTS)
def test_process_drops_states_that_its_database_lost(
    front: str, servers_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A server is replaced by an earlier copy of itself: a use that this copy does not know is not held.

    A pooler keeps the connections of the process open.
    """
    folder = servers_folder / tmp_path_factory.mktemp("older").name
    with ExitStack() as stack:
        primary = stack.enter_context(server(folder))
        primary.start()
        migrate(primary.url)
        url = primary.url if front == "none" else stack.enter_context(pgbouncer(folder / "front", primary.url))
        bench = LedgerBench(stack.enter_context(LedgerStore.open(settings_for(url))), url)
        code = bench.issue(1, bound=False)
        earlier = primary.copy_of(folder / "earlier")
        earlier.move_to(primary.postgres_files.port)
        done(bench.redeem(code, "li.wei@example.com"))
        assert isinstance(bench.redeem(code, "mei@example.com"), CodeHeld)

        primary.kill()
        stack.callback(earlier.kill)
        earlier.start()

        assert done(bench.redeem(code, "mei@example.com")).changed
