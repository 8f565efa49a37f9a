from typing import Any

from projections.database.servers.bounded_connection import BoundedConnection
from projections.database.servers.known_servers import ServerIdentity
from projections.database.servers.per_server import PerServer

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
