"""More than one machine: a primary that dies with writes in flight, and a host that dies and comes back.

Once, and over and over.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.chaos.checker import violations
from tests.faults.chaos.load import RedeemLoad
from tests.faults.chaos.observe import observe, unsettled
from tests.faults.rigs.hosts import LedgerHosts
from tests.support.servers.mail_server import MailServer
from tests.support.servers.postgres_clusters import PostgresCluster, any_of, server
from tests.support.servers.private_servers import valkey_server
from tests.support.waiting import wait_for

pytestmark = pytest.mark.night(of="failover")

ACKS = 12
"""Acknowledged redeems before and after each fault."""


each_round = pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.night(of="failover"))])


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as mail_server:
        yield mail_server


@pytest.fixture
def broker(servers_folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    (folder := servers_folder / f"broker-{request.node.name}").mkdir()
    with valkey_server(folder) as url:
        yield url


def until(what: Callable[[], bool], hosts: LedgerHosts) -> None:
    wait_for(what, hosts.words)


def more_acks(hosts: LedgerHosts, *loads: RedeemLoad) -> None:
    ack_targets = [len(load.acks) + ACKS for load in loads]
    until(lambda: all(len(load.acks) >= count for load, count in zip(loads, ack_targets, strict=True)), hosts)


def assert_kept(hosts: LedgerHosts, mail: MailServer, *loads: RedeemLoad) -> None:
    """Every acknowledged redeem is there and was sent; nothing was counted twice."""
    for load in loads:
        load.stop()
    until(lambda: unsettled(hosts.info["database_url"]) == 0, hosts)
    for load in loads:
        seen = observe(hosts, load, mail)
        assert violations(seen) == []
        assert len(load.acks) >= ACKS * 2
        assert load.gave_up == 0


@each_round
def test_standby_takes_over_with_every_acknowledged_redeem(
    servers_folder: Path, mail: MailServer, broker: str, rounds: int
) -> None:
    """The primary loses power while redeems commit; the standby is promoted; no process gets the new address."""
    folder = servers_folder / f"failover-{rounds}"
    folder.mkdir()
    folder.chmod(0o711)
    with server(folder / "one") as primary:
        primary.start()
        standby = primary.copy_of(folder / "two", is_standby=True)
        url = any_of(primary, standby)
        try:
            pair = (primary, standby)
            with LedgerHosts(folder / "hosts", url, broker, mail.url) as hosts:
                _follow(*pair)
                hosts.start("backend-1", "worker-1", "beat-1")
                hosts.wait_ready("backend-1")
                load = RedeemLoad(hosts.base("backend-1"), [hosts.issue(1_000_000)], 1, 20)
                for left in reversed(range(rounds)):
                    more_acks(hosts, load)
                    _fail_over(*pair, load)
                    pair = _as_standby(*pair, folder) if left else pair[::-1]
                more_acks(hosts, load)
                assert_kept(hosts, mail, load)
        finally:
            for cluster in pair:
                cluster.kill()


def _follow(primary: PostgresCluster, standby: PostgresCluster) -> None:
    """From now on no commit is acknowledged before both have it."""
    standby.start()
    primary.configure(synchronous_standby_names="*")
    primary.reload()
    wait_for(lambda: primary.sync_standbys() == 1)


def _fail_over(primary: PostgresCluster, standby: PostgresCluster, load: RedeemLoad) -> None:
    wait_for(load.in_flight)
    primary.kill()
    standby.promote()


def _as_standby(
    gone: PostgresCluster, primary: PostgresCluster, folder: Path
) -> tuple[PostgresCluster, PostgresCluster]:
    """The new pair: the one that died has lost its disk, and comes back as a copy of the other."""
    place = gone.postgres_files.data.parent
    gone.erase()
    place.rename(folder / f"gone-{uuid4().hex}")
    again = primary.copy_of(place, is_standby=True)
    again.move_to(gone.postgres_files.port)
    _follow(primary, again)
    return primary, again


@each_round
def test_host_dies_and_comes_back(
    database_url: str, mail: MailServer, broker: str, servers_folder: Path, rounds: int
) -> None:
    """Two backends and three workers share one database; one host's processes are killed at work."""
    with LedgerHosts(servers_folder / f"hosts-{rounds}", database_url, broker, mail.url) as hosts:
        hosts.start("backend-1", "worker-1", "beat-1", "backend-2", "worker-2", "worker-3")
        hosts.wait_ready("backend-1", "backend-2")
        code = hosts.issue(1_000_000)
        loads = [RedeemLoad(hosts.base(name), [code], seed, 10) for seed, name in enumerate(("backend-1", "backend-2"))]
        for _ in range(rounds):
            more_acks(hosts, *loads)
            hosts.kill("backend-2", "worker-2", "worker-3")
            more_acks(hosts, loads[0])
            hosts.start("backend-2", "worker-2", "worker-3")
            more_acks(hosts, *loads)
        assert_kept(hosts, mail, *loads)
