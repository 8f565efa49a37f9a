"""Connections on which every answer is awaited for a bounded time, and that lead to no former primary."""

from itertools import count
from typing import Any, Final, Self, TypeVar

import psycopg
from psycopg import Connection
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict

from projections.database.servers.known_servers import (
    COMMIT_S_MAX,
    KNOWN_SERVERS,
    ServerIdentity,
    StalePrimaryError,
    address_of,
    commit_next_to_nothing,
    identify,
    list_addresses,
)

# psycopg's own number: how often a waiting operation checks whether it was interrupted.
WAIT_INTERVAL_S = 0.1
ANSWER_S_MAX: Final = 20.0
"""Longest wait for an answer, in seconds: somewhat more than the server's own bound of a statement."""
SUSPECTED_CONNECT_S: Final = 2
"""Longest wait for a host while one is suspected, in seconds; libpq takes no smaller number."""
IDENTITY_S_MAX: Final = 3.0
"""Longest wait until a new connection knows which server it leads to, in seconds."""

Row = TypeVar("Row")
_NUMBERS = count(1)


class BoundedConnection(Connection[Row]):
    """A connection that is closed if an answer does not come in time.

    The server's own timeouts do not help against a server that is frozen or cut off: its kernel still acknowledges
    what is sent to it, so TCP finds nothing wrong either.

    Attributes:
        answer_timeout_s: Longest wait for an answer, in seconds. None: without a limit.
        server: Which server it leads to; None if the engine cannot tell.
        number: Counts the connections of this process, and the servers that one leads to: the newest has the highest.
    """

    answer_timeout_s: float | None = ANSWER_S_MAX
    server: ServerIdentity | None = None
    number: int = 0

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Connect to a server that is not behind the newest one that this process has seen.

        Raises:
            psycopg.OperationalError: No host can be reached, or accepts what is asked for.
            StalePrimaryError: Only former primaries can be reached.
        """
        options = _join_session_options(conninfo, options)
        others = list_addresses(conninfo_to_dict(conninfo))[1:]
        for _ in others:
            try:
                return cls._connect_to_current(conninfo, options, has_others=True)
            except StalePrimaryError:
                continue
        return cls._connect_to_current(conninfo, options, has_others=bool(others))

    @classmethod
    def _connect_to_current(cls, conninfo: str, options: dict[str, Any], *, has_others: bool) -> Self:
        ordered = KNOWN_SERVERS.order_hosts(conninfo)
        if ordered != conninfo:
            options = {**options, "connect_timeout": SUSPECTED_CONNECT_S}
        conn: Self = super().connect(ordered, **options)
        address, conn.answer_timeout_s = address_of(conn), IDENTITY_S_MAX
        try:
            conn.server, conn.number = identify(conn), next(_NUMBERS)
            if conn.server is not None:
                KNOWN_SERVERS.admit(conn.server, address)
            if has_others and KNOWN_SERVERS.is_suspected(address):
                conn.answer_timeout_s = COMMIT_S_MAX
                commit_next_to_nothing(conn)
                KNOWN_SERVERS.trust(address)
        except psycopg.Error as error:
            conn.close()
            if isinstance(error, StalePrimaryError) or not is_reported(error):
                KNOWN_SERVERS.suspect(address)
            raise
        conn.answer_timeout_s = cls.answer_timeout_s
        return conn

    def is_led_elsewhere(self, started_at: int) -> bool:
        """Note which run of a server answers a transaction; return whether it is another one than before.

        A pooler between keeps a connection open while it connects to another server.

        Args:
            started_at: When that server started, in microseconds since 1970.
        """
        if self.server is None or self.server.started_at == started_at:
            return False
        self.server, self.number = self.server._replace(started_at=started_at), next(_NUMBERS)
        return True

    def wait(self, gen: PQGen[RV], interval: float = WAIT_INTERVAL_S, timeout: float | None = None) -> RV:
        """Drive a psycopg operation to its end.

        Raises:
            psycopg.OperationalError: No answer came in time, or the connection failed.
        """
        try:
            return super().wait(gen, interval, self.answer_timeout_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if self.answer_timeout_s is not None and not is_reported(error):
                self.close()
            raise


class StandbyConnection(BoundedConnection[Row]):
    """A connection for reports, which a standby answers.

    It may lead to any server, so it does not count for which primary is the newest: after a promotion by mistake this
    process would refuse the real one.
    """

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Connect to whatever server answers.

        Raises:
            psycopg.OperationalError: No host can be reached.
        """
        conn: Self = super(BoundedConnection, cls).connect(conninfo, **_join_session_options(conninfo, options))
        conn.server, conn.number = identify(conn), next(_NUMBERS)
        return conn


def _join_session_options(conninfo: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return options with the session settings of the URL, which libpq would replace; those of the ledger come last."""
    of_url = conninfo_to_dict(conninfo).get("options")
    if not of_url or "options" not in options:
        return options
    return {**options, "options": f"{of_url} {options['options']}"}


def is_reported(error: psycopg.Error) -> bool:
    """Tell whether the server reported an error, which leaves the connection usable."""
    return error.sqlstate is not None or isinstance(error, psycopg.errors.PipelineAborted)
