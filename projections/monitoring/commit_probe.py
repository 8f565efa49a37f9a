"""Whether a commit is possible: a small one is made, because a database that answers may still confirm none."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from projections.database.connection import connect
from projections.database.datastore import LedgerDatastore
from projections.database.errors import StorageUnavailableError
from projections.database.servers.bounded_connection import BoundedConnection, is_reported
from projections.database.servers.known_servers import (
    COMMIT_S_MAX,
    KNOWN_SERVERS,
    Address,
    address_of,
    commit_next_to_nothing,
    list_addresses,
)
from projections.sql.database import DatabaseSql

AGE_S_MAX: Final = 1.0
"""Age up to which a success is reused, in seconds, so that frequent questions do not become a load."""
TURN_S_MAX: Final = 2.0
"""Longest wait for the check of another caller, in seconds."""
UNREACHABLE: Final = "the database cannot be reached"
READ_ONLY: Final = "the database is a standby or read-only: it accepts no writes"
UNCONFIRMED: Final = (
    f"the database did not confirm a commit within {COMMIT_S_MAX:g} s: it is frozen or cut off, or waits for a standby"
)
FORMER: Final = "the server that answers is a former primary: it may lack commits that the next one acknowledged"
FULL: Final = "the disk of the database is full"
REFUSED: Final = "the database refuses to write"


class NoCommitError(StorageUnavailableError):
    """No commit is possible. The message says why, and names no host."""


class CommitProbe:
    """Checks it for many callers: at most once a second, and by one of them at a time.

    Args:
        datastore: Its pool gives the connection, as to a redeem request.
        clock: Monotonic seconds.
    """

    def __init__(self, datastore: LedgerDatastore, clock: Callable[[], float] = time.monotonic) -> None:
        self._datastore = datastore
        self._clock = clock
        self._turn = threading.Lock()
        self._committed_at: float | None = None

    def check(self) -> None:
        """Return if a commit is possible.

        Raises:
            NoCommitError: It is not.
        """
        if not self._turn.acquire(timeout=TURN_S_MAX):
            raise NoCommitError(UNCONFIRMED)
        try:
            if self._committed_at is None or self._clock() - self._committed_at > AGE_S_MAX:
                self._commit()
                self._committed_at = self._clock()
        finally:
            self._turn.release()

    def _commit(self) -> None:
        try:
            with self._datastore.get_connection() as conn:
                commit_in_time(conn)
        except (PersistenceError, psycopg.Error) as error:
            addresses = list_addresses(conninfo_to_dict(self._datastore.url))
            raise NoCommitError(_explain_missing_connection(addresses)) from error


def commit_in_time(conn: Connection[Any]) -> None:
    """Make a small commit on a connection, and a scratch file; a connection that is not answered in time is closed.

    On a full disk a small commit alone still succeeds, since WAL has files in reserve, and a redeem fails.

    Raises:
        NoCommitError: The server does not confirm it, or refuses it.
    """
    bounded = conn if isinstance(conn, BoundedConnection) else None
    before = bounded.answer_timeout_s if bounded else None
    try:
        if bounded:
            bounded.answer_timeout_s = COMMIT_S_MAX
        commit_next_to_nothing(conn)
        _write_scratch_file(conn)
        KNOWN_SERVERS.trust(address_of(conn))
    except psycopg.Error as error:
        raise NoCommitError(_describe(error)) from error
    finally:
        if bounded:
            bounded.answer_timeout_s = before


def _write_scratch_file(conn: Connection[Any]) -> None:
    """Let the server write a file to its disk, and delete it.

    Raises:
        psycopg.Error: It cannot.
    """
    try:
        with conn.transaction():
            conn.execute(DatabaseSql.least_memory)
            conn.execute(DatabaseSql.write_scratch_file)
    except (psycopg.errors.ConfigurationLimitExceeded, psycopg.ProgrammingError):
        return  # a limit of temporary files, or another engine: this says nothing about the disk


def check_commit(database_url: str) -> None:
    """Check it over a separate connection.

    Raises:
        NoCommitError: No commit is possible.
    """
    try:
        conn = connect(database_url)
    except psycopg.Error as error:
        raise NoCommitError(f"{UNREACHABLE}: {' '.join(str(error).split())}") from error
    with conn:
        commit_in_time(conn)


def _explain_missing_connection(addresses: Sequence[Address]) -> str:
    if any(map(KNOWN_SERVERS.is_former_primary, addresses)):
        return FORMER
    return UNCONFIRMED if any(map(KNOWN_SERVERS.is_suspected, addresses)) else UNREACHABLE


def _describe(error: psycopg.Error) -> str:
    if not is_reported(error):
        return UNCONFIRMED
    if isinstance(error, psycopg.errors.DiskFull):
        return FULL
    return READ_ONLY if isinstance(error, psycopg.errors.ReadOnlySqlTransaction) else REFUSED
