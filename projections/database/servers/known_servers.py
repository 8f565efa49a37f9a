"""What this process has seen of its database servers: the newest timeline, and which hosts did not answer.

After a failover the former primary may still run: frozen, cut off, or without the program that would have stopped it.
It takes connections and calls itself a primary. Its timeline is older, and its commits are never answered when a
standby has to confirm them.
"""

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row

from projections.sql.database import DatabaseSql

SKIPPED_S: Final = 4.0
"""For so long a host that did not answer is left out, in seconds, if the URL names other ones."""
SUSPECTED_S: Final = 60.0
"""For so long it comes last, and must answer a commit before it gets a connection, in seconds."""
COMMIT_S_MAX: Final = 1.5
"""Longest wait for a commit that writes next to nothing, in seconds."""

Address = tuple[str, str]
"""Host and port."""


class StalePrimaryError(psycopg.OperationalError):
    """A server calls itself a primary, and another one was promoted after it. The message says which."""


class ServerIdentity(NamedTuple):
    """One run of one server.

    Attributes:
        system: Identifies the cluster: a primary and its standbys have the same.
        timeline: Counts promotions; None on a standby.
        started_at: When the server process started, in microseconds since 1970.
    """

    system: int
    timeline: int | None
    started_at: int


class KnownServers:
    """Remembers servers, for all connections of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._newest: dict[int, int] = {}
        self._suspected: dict[Address, float] = {}
        self._refused: dict[Address, float] = {}

    def admit(self, identity: ServerIdentity, address: Address) -> None:
        """Remember the timeline of a server.

        Raises:
            StalePrimaryError: A newer one was seen.
        """
        if identity.timeline is None:
            return
        newest = self._newest.get(identity.system, 0)
        if identity.timeline < newest:
            self._refused[address] = self._clock()
            raise StalePrimaryError(
                f"the server at {':'.join(address)} is a former primary: its timeline is {identity.timeline}, and"
                f" timeline {newest} was seen: stop it, or let it rejoin the cluster as a standby"
            )
        self._newest[identity.system] = identity.timeline
        self._refused.pop(address, None)

    def suspect(self, address: Address) -> None:
        """Remember that a host did not answer, or is a former primary."""
        self._suspected[address] = self._clock()

    def trust(self, address: Address) -> None:
        """Forget that."""
        self._suspected.pop(address, None)

    def is_suspected(self, address: Address) -> bool:
        """Return whether a host did not answer recently."""
        return self._age_s(address) < SUSPECTED_S

    def is_former_primary(self, address: Address) -> bool:
        """Return whether a former primary answered there recently, and no newer one since then."""
        return self._clock() - self._refused.get(address, float("-inf")) < SUSPECTED_S

    def order_hosts(self, conninfo: str) -> str:
        """Return connection parameters with suspected hosts last, or left out for a while."""
        if not self._suspected:
            return conninfo
        parameters = conninfo_to_dict(conninfo)
        addresses = list_addresses(parameters)
        if len(addresses) < 2 or parameters.get("hostaddr"):  # noqa: PLR2004 - there is a choice
            return conninfo
        ordered = sorted(addresses, key=self.is_suspected)
        ordered = [address for address in ordered if self._age_s(address) >= SKIPPED_S] or ordered
        hosts, ports = zip(*ordered, strict=True)
        return make_conninfo("", **{**parameters, "host": ",".join(hosts), "port": ",".join(ports)})

    def _age_s(self, address: Address) -> float:
        suspected_at = self._suspected.get(address)
        return float("inf") if suspected_at is None else self._clock() - suspected_at


KNOWN_SERVERS: Final = KnownServers()


def list_addresses(parameters: dict[str, Any]) -> list[Address]:
    """Return the hosts of connection parameters with their ports, in order."""
    hosts = str(parameters.get("host") or "localhost").split(",")
    ports = [port or "5432" for port in str(parameters.get("port") or "").split(",")]
    return list(zip(hosts, ports if len(ports) == len(hosts) else ports[:1] * len(hosts), strict=True))


def address_of(conn: Connection[Any]) -> Address:
    """Return which host of its URL a connection leads to."""
    return conn.info.host, str(conn.info.port)


def identify(conn: Connection[Any]) -> ServerIdentity | None:
    """Ask a server who it is; None if this engine cannot tell.

    Raises:
        psycopg.OperationalError: It does not answer.
    """
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(DatabaseSql.server_identity).fetchone()
    except (psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError):
        return None
    return None if row is None else ServerIdentity(*row)


def commit_next_to_nothing(conn: Connection[Any]) -> None:
    """Commit a message in the write-ahead log, which no reader gets, as durably as any commit of this session.

    Raises:
        psycopg.Error: No commit is possible.
    """
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(DatabaseSql.commit_message).fetchone()
    except psycopg.errors.UndefinedFunction:
        return  # another engine: it answered, and more cannot be asked
    if row != (True,):
        raise psycopg.errors.ReadOnlySqlTransaction("the server accepts no writes")
