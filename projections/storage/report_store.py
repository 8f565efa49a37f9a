"""Where reports are read: on a standby while it is recent enough, otherwise on the primary. Decisions never are."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from eventsourcing.persistence import PersistenceError
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from psycopg import Connection
from psycopg import Error as DriverError
from psycopg.rows import DictRow

from projections.config.settings import LedgerSettings
from projections.database.connection import connect_to_standby, open_maintenance_connection
from projections.database.datastore import LedgerDatastore
from projections.database.errors import translate_connection_errors
from projections.database.servers.bounded_connection import StandbyConnection
from projections.storage.bootstrap import LedgerStore
from projections.storage.standby_lag import (
    ANSWER_S_MAX,
    POLL_S,
    PrimaryPosition,
    StandbyWatch,
    has_caught_up,
    read_primary,
)
from projections.vault.vault import Vault

POOL_SIZE: Final = 2
POOL_WAIT_S: Final = 2.0
LAG_TEXT: Final = "Seconds by which the standby for reports is behind at most; +Inf while that is unknown."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standby:
    """Connections to the standby, and how far it may be behind."""

    datastore: LedgerDatastore
    watch: StandbyWatch
    lag_s_max: float


class ReportReading:
    """The connections of one report, and the vault: a store for `Reader`.

    Each connection is measured before it is used, since a balancer may stand before several standbys.

    Args:
        storage: The primary.
        standby: Asked while it is recent; None without one.
        catch_up_s: Seconds to wait until the standby has what the primary had acknowledged before the first query, for
            all queries together. The primary answers from the first query for which that is not enough. None if the
            bound on the lag is enough.

    Attributes:
        lag_s: By how many seconds the report may be behind; None if the primary answered.
    """

    def __init__(self, storage: LedgerStore, standby: Standby | None, catch_up_s: float | None = None) -> None:
        self._storage, self._standby, self._catch_up_s = storage, standby, catch_up_s
        self._target: PrimaryPosition | None = None
        self._waits_until = 0.0
        self.lag_s: float | None = None

    @property
    def vault(self) -> Vault:
        """The vault."""
        return self._storage.vault

    @property
    def datastore(self) -> "ReportReading":
        """This reading, as the source of connections."""
        return self

    @contextmanager
    def get_connection(self) -> Iterator[Connection[Any]]:
        """Return a connection to the standby if it is recent enough, otherwise to the primary.

        Raises:
            eventsourcing.persistence.PersistenceError: The server that was chosen failed during the query.
        """
        with ExitStack() as stack:
            conn = self._find_recent_connection(stack)
            yield conn or stack.enter_context(self._storage.datastore.get_connection())

    def _find_recent_connection(self, stack: ExitStack) -> Connection[Any] | None:
        if self._standby is None:
            return None
        if self._catch_up_s is None:
            return self._open_measured(self._standby, stack)
        # The watch adds up to POLL_S to the lag, because it compares with a position of the primary that is so old.
        if self._standby.watch.last_lag_s <= self._catch_up_s + POLL_S:
            if self._target is None:
                with self._storage.datastore.get_connection() as primary:
                    self._target = read_primary(primary)
                self._waits_until = time.monotonic() + self._catch_up_s
            if (conn := self._open_measured(self._standby, stack)) is not None:
                return conn
        self._standby = None  # so that a report of many queries waits once
        return None

    def _open_measured(self, standby: Standby, stack: ExitStack) -> Connection[Any] | None:
        with ExitStack() as attempt:
            try:
                conn = attempt.enter_context(standby.datastore.get_connection())
                lag_s = self._measure(standby, conn)
            except (PersistenceError, DriverError) as error:
                log.warning("connecting to the standby failed", extra={"why": type(error).__name__})
                return None
            if lag_s is None:
                return None
            self.lag_s = max(self.lag_s or 0.0, lag_s)
            stack.push(attempt.pop_all())
            return conn

    def _measure(self, standby: Standby, conn: Connection[Any]) -> float | None:
        if self._target is None:
            return standby.watch.measure(conn)
        return 0.0 if has_caught_up(conn, self._target, self._waits_until) else None


@dataclass(frozen=True, slots=True)
class ReportStore:
    """Opens readings of reports.

    Attributes:
        storage: The primary.
        standby: The standby of the settings, if they name one.
        catch_up_s: Whether every report waits for the standby, and how long: as of `ReportReading`.
    """

    storage: LedgerStore
    standby: Standby | None = None
    catch_up_s: float | None = None

    @classmethod
    def open(cls, settings: LedgerSettings, storage: LedgerStore) -> "ReportStore":
        """Open the standby that the settings name, if they name one. It may be unavailable."""
        if (url := settings.read_url) is None:
            return cls(storage)
        watch = StandbyWatch(storage.datastore.url, url, settings.read_lag_s_max)
        datastore = LedgerDatastore(
            url, pool_size=POOL_SIZE, wait_s=POOL_WAIT_S, connection_class=StandbyConnection[DictRow]
        )
        return cls(storage, Standby(datastore, watch, settings.read_lag_s_max))

    def read(self) -> ReportReading:
        """Begin a report that may be behind by the bound; it shows its lag."""
        return ReportReading(self.storage, self.standby, self.catch_up_s)

    def read_everything(self) -> ReportReading:
        """Begin a report that has all that was acknowledged before its first query: for files, which show no lag."""
        return ReportReading(self.storage, self.standby, None if self.standby is None else self.standby.lag_s_max)

    def numbers(self) -> Iterator[Metric]:
        """Yield the last lag as a metric."""
        yield from show_lag(self.standby)

    def close(self) -> None:
        """Close the connections to the standby."""
        if self.standby is not None:
            self.standby.watch.close()
            self.standby.datastore.close()


def show_lag(standby: Standby | None) -> Iterator[Metric]:
    """Yield the last lag of a standby as a metric; 0 without one."""
    lag_s = 0.0 if standby is None else standby.watch.last_lag_s
    yield GaugeMetricFamily("ledger_read_lag_seconds", LAG_TEXT, lag_s)


def open_report_connection(settings: LedgerSettings) -> tuple[Connection[Any], bool]:
    """Open a connection for a long report that has all that was acknowledged until now.

    Returns:
        The connection, and whether it is to the standby.

    Raises:
        StorageUnavailableError: The primary does not answer.
    """
    primary_url = settings.database_url.get_secret_value()
    with translate_connection_errors(primary_url):
        primary = open_maintenance_connection(primary_url, "export")
        if (url := settings.read_url) is None:
            return primary, False
        target = read_primary(primary)
    standby = _open_recent_standby(url, target, settings.read_lag_s_max)
    if standby is None:
        return primary, False
    primary.close()
    return standby, True


def _open_recent_standby(url: str, target: PrimaryPosition, lag_s_max: float) -> Connection[Any] | None:
    with suppress(DriverError):
        conn = connect_to_standby(url, ANSWER_S_MAX)
        try:
            if has_caught_up(conn, target, time.monotonic() + lag_s_max):
                conn.answer_timeout_s = None
                return conn
        except DriverError:
            conn.close()
            raise
        conn.close()
    return None
