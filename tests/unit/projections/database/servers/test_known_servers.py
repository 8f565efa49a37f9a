import pytest
from psycopg.conninfo import conninfo_to_dict

from projections.database.servers.known_servers import (
    SKIPPED_S,
    SUSPECTED_S,
    KnownServers,
    ServerIdentity,
    StalePrimaryError,
)

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
