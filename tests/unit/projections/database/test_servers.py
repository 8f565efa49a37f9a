from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from projections.database.servers.bounded_connection import BoundedConnection
from projections.database.servers.known_servers import (
    SKIPPED_S,
    SUSPECTED_S,
    KnownServers,
    ServerIdentity,
    StalePrimaryError,
)
from projections.database.servers.per_server import PerServer

URL = "postgresql://ledger@a:1,b:2,c:3/ledger?target_session_attrs=read-write"
A, B, C = ("a", "1"), ("b", "2"), ("c", "3")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def hosts(servers: KnownServers, url: str = URL) -> str:
    parameters = conninfo_to_dict(servers.order_hosts(url))
    assert parameters["dbname"] == "ledger"
    return f"{parameters['host']} {parameters['port']}"


def test_hosts_keep_the_order_of_the_url_while_none_is_suspected() -> None:
    assert KnownServers().order_hosts(URL) == URL


def test_suspected_host_is_left_out_then_comes_last_and_is_then_forgiven() -> None:
    """A host that was frozen costs no connect timeout while another one may be the primary."""
    servers = KnownServers(clock := Clock())
    servers.suspect(A)

    assert hosts(servers) == "b,c 2,3"
    clock.now += SKIPPED_S
    assert hosts(servers) == "b,c,a 2,3,1"
    assert servers.is_suspected(A)
    clock.now += SUSPECTED_S
    assert hosts(servers) == "a,b,c 1,2,3"
    assert not servers.is_suspected(A)


def test_all_hosts_are_asked_when_all_are_suspected() -> None:
    """One of them has to be the primary in the end."""
    servers = KnownServers(Clock())
    for address in (A, B, C):
        servers.suspect(address)

    assert hosts(servers) == "a,b,c 1,2,3"
    servers.trust(B)
    assert hosts(servers) == "b 2"


def test_only_host_of_a_url_is_always_asked() -> None:
    """As a proxy is, behind which another server may answer."""
    servers = KnownServers(Clock())
    servers.suspect(("proxy", "5000"))

    assert servers.order_hosts("postgresql://proxy:5000/ledger") == "postgresql://proxy:5000/ledger"


def test_one_port_belongs_to_all_hosts() -> None:
    """libpq reads it that way."""
    servers = KnownServers(Clock())
    servers.suspect(("a", "5432"))

    assert hosts(servers, "postgresql://a,b/ledger") == "b 5432"


def test_primary_behind_the_newest_timeline_is_refused() -> None:
    servers = KnownServers(clock := Clock())
    servers.admit(ServerIdentity(7, 3, 1), A)
    servers.admit(ServerIdentity(7, 4, 2), B)
    assert not servers.is_former_primary(A)

    with pytest.raises(StalePrimaryError, match="a:1 is a former primary: its timeline is 3, and timeline 4 was seen"):
        servers.admit(ServerIdentity(7, 3, 1), A)
    assert servers.is_former_primary(A)
    assert not servers.is_former_primary(B)
    clock.now += SUSPECTED_S
    assert not servers.is_former_primary(A)
    servers.admit(ServerIdentity(7, None, 1), A)
    servers.admit(ServerIdentity(8, 1, 1), C)
    servers.admit(ServerIdentity(7, 4, 3), B)


def test_address_of_a_proxy_is_accepted_once_the_promoted_primary_answers() -> None:
    """Behind one address another server answers after a failover."""
    servers = KnownServers(Clock())
    servers.admit(ServerIdentity(7, 2, 2), A)
    with pytest.raises(StalePrimaryError):
        servers.admit(ServerIdentity(7, 1, 1), A)
    assert servers.is_former_primary(A)

    servers.admit(ServerIdentity(7, 2, 2), A)
    assert not servers.is_former_primary(A)


FIRST, RESTARTED, PROMOTED = ServerIdentity(7, 1, 10), ServerIdentity(7, 1, 20), ServerIdentity(7, 2, 15)


def lead_to(server: ServerIdentity | None, number: int) -> BoundedConnection[Any]:
    conn: BoundedConnection[Any] = BoundedConnection.__new__(BoundedConnection)
    conn.server, conn.number = server, number
    return conn


def test_cache_is_kept_for_connections_to_the_same_server() -> None:
    caches: PerServer[list[int]] = PerServer(list)
    caches.of(lead_to(FIRST, 1)).append(1)

    assert caches.of(lead_to(FIRST, 2)) == [1]


def test_cache_is_empty_for_a_server_that_restarted_or_was_promoted() -> None:
    """It may have come back older."""
    caches: PerServer[list[int]] = PerServer(list)
    caches.of(lead_to(FIRST, 1)).append(1)

    for number, server in enumerate((RESTARTED, PROMOTED), 2):
        assert caches.of(lead_to(server, number)) == []
        caches.of(lead_to(server, number)).append(number)


def test_connection_to_a_former_server_neither_reads_nor_fills_the_cache() -> None:
    """A thread may still work with it."""
    caches: PerServer[list[int]] = PerServer(list)
    former, newest = lead_to(FIRST, 1), lead_to(RESTARTED, 2)
    caches.of(newest).append(2)

    caches.of(former).append(1)

    assert caches.of(former) == []
    assert caches.of(newest) == [2]


def test_connection_that_a_pooler_leads_elsewhere_gets_another_cache() -> None:
    caches: PerServer[list[int]] = PerServer(list)
    conn = lead_to(FIRST, 1)
    caches.of(conn).append(1)
    assert not conn.is_led_elsewhere(FIRST.started_at)

    assert conn.is_led_elsewhere(RESTARTED.started_at)

    assert caches.of(conn) == []
    assert not conn.is_led_elsewhere(RESTARTED.started_at)


def test_engine_that_does_not_identify_itself_has_one_cache() -> None:
    caches: PerServer[list[int]] = PerServer(list)
    caches.of(lead_to(None, 1)).append(1)
    assert caches.of(lead_to(None, 2)) == [1]
    assert not lead_to(None, 3).is_led_elsewhere(10)

    caches.forget()

    assert caches.of(lead_to(None, 2)) == []
