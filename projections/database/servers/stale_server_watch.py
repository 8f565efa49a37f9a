"""Drops connections to a server that no longer answers, or that is no longer the one behind its address.

A transaction that waits for a frozen or cut-off server would wait until that returns, because its kernel still
acknowledges what is sent. This costs nothing while transactions end within a second: only after that the server is
asked, over a separate connection, who it is and whether it commits.
"""

import logging
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from projections.database.servers.bounded_connection import BoundedConnection, is_reported
from projections.database.servers.known_servers import (
    COMMIT_S_MAX,
    KNOWN_SERVERS,
    Address,
    ServerIdentity,
    address_of,
    commit_next_to_nothing,
    identify,
    list_addresses,
)

LATE_S: Final = 1.0
"""A transaction that takes longer, in seconds, is a reason to ask its server."""
LOOK_S: Final = 0.5
CONNECT_S_MAX: Final = 2
"""Longest wait for a connection to a server that is asked, in seconds; libpq takes no smaller number."""

log = logging.getLogger(__name__)


class WatchedPool(Protocol):
    """The pool whose connections are watched."""

    @property
    def database_url(self) -> str:
        """libpq URI of the pool's connections."""

    def list_used(self, for_s: float) -> Sequence[Connection[Any]]:
        """Return the connections that are in use for at least so many seconds."""

    def list_all(self) -> Sequence[Connection[Any]]:
        """Return the connections that are in use, and those that are free."""


class ServerState:
    """What a server answers.

    Attributes:
        identity: Who it is; None if it does not answer, or the engine cannot tell.
        why: What is wrong, for the log; empty if it answers and commits.
        answers: Whether it answered at all.
    """

    def __init__(self, identity: ServerIdentity | None, why: str, *, answers: bool) -> None:
        self.identity = identity
        self.why = why
        self.answers = answers


class StaleServerWatch:
    """Looks twice a second for late transactions of a pool, in its own thread, until it is closed.

    While no connection is lent, it waits for the next one.
    """

    def __init__(self, pool: WatchedPool) -> None:
        self._pool = pool
        self._ending = threading.Event()
        self._lent = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stale-servers", daemon=True)
        self._thread.start()

    def note_lent(self) -> None:
        """Begin to look, because a connection was lent."""
        if not self._lent.is_set():
            self._lent.set()

    def close(self) -> None:
        """End the thread."""
        self._ending.set()
        self._lent.set()

    def look(self) -> None:
        """Ask the servers of late transactions, and drop the connections to those that hold us."""
        late = self._pool.list_used(LATE_S)
        for address in {address_of(conn) for conn in late if not conn.closed}:
            state = ask_server(self._pool.database_url, address)
            dropped = self._choose_dropped(address, state)
            for conn in dropped:
                cut_off(conn)
            if dropped:
                why = state.why or "another server answers at its address"
                log.warning(
                    "database server unavailable",
                    extra={"server": ":".join(address), "count": len(dropped), "why": why},
                )

    def _choose_dropped(self, address: Address, state: ServerState) -> list[Connection[Any]]:
        """Return the connections that lead nowhere.

        A server that answers but does not commit keeps its readers, unless another host may have taken over.
        """
        has_others = len(list_addresses(conninfo_to_dict(self._pool.database_url))) > 1
        if state.why:
            KNOWN_SERVERS.suspect(address)
            only_late = state.answers and not has_others
            conns = self._pool.list_used(LATE_S) if only_late else self._pool.list_all()
            return [conn for conn in conns if not conn.closed and address_of(conn) == address]
        return [
            conn
            for conn in self._pool.list_all()
            if not conn.closed
            and address_of(conn) == address
            and isinstance(conn, BoundedConnection)
            and state.identity is not None
            and conn.server not in {None, state.identity}
        ]

    def _run(self) -> None:
        while self._lent.wait():
            # Cleared before the end is read, and before it is read who has one: what comes in between sets it again.
            self._lent.clear()
            if self._ending.wait(LOOK_S):
                return
            try:
                if self._pool.list_used(0.0):
                    self._lent.set()
                self.look()
            except Exception:  # the thread has to outlive a bug: it is the only one that drops a frozen server
                self._lent.set()
                log.exception("asking a database server failed")


def ask_server(database_url: str, address: Address) -> ServerState:
    """Ask one host of a URL who it is, and whether it commits, within a few seconds."""
    parameters = conninfo_to_dict(database_url)
    parameters.update(host=address[0], port=address[1], target_session_attrs="any", connect_timeout=CONNECT_S_MAX)
    identity = None
    try:
        with _AskingConnection.open(make_conninfo("", **parameters)) as conn:
            identity = identify(conn)
            if identity is not None:
                KNOWN_SERVERS.admit(identity, address)
            try:
                commit_next_to_nothing(conn)
            except psycopg.Error as error:
                if is_reported(error):
                    return ServerState(identity, _first_line(error), answers=True)
                return ServerState(identity, f"a commit was not answered within {COMMIT_S_MAX:g} s", answers=True)
    except psycopg.Error as error:
        return ServerState(identity, _first_line(error), answers=False)
    return ServerState(identity, "", answers=True)


def cut_off(conn: Connection[Any]) -> None:
    """End a connection from our side, also under a thread that waits for its answer; the server is not asked."""
    with suppress(psycopg.Error):  # it was closed in the meantime
        cut_off_socket(conn.fileno())


def cut_off_socket(fileno: int) -> None:
    """End a connection by its socket; what waits for an answer reads the end of the stream."""
    with suppress(OSError), socket.socket(fileno=os.dup(fileno)) as peer:
        peer.shutdown(socket.SHUT_RDWR)


class _AskingConnection(BoundedConnection[Any]):
    """A connection that asks a server whatever this process has seen of it."""

    answer_timeout_s = COMMIT_S_MAX

    @classmethod
    def open(cls, conninfo: str) -> "_AskingConnection":
        return super(BoundedConnection, cls).connect(conninfo, autocommit=True)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
