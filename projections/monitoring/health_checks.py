"""Queries of the health check, over a separate connection, because the pool may be part of the problem."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, LiteralString, NamedTuple

from projections.database.connection import connect
from projections.database.errors import describe_target, translate_database_errors
from projections.repositories.api_keys import find_ending_keys
from projections.sql.monitoring import MonitoringSql
from projections.vault.vault import Vault
from projections.verification.vault_check import VaultSample, sample_vault


class ServerFacts(NamedTuple):
    """The configuration and clock of the server.

    Attributes:
        skew_s: Seconds by which its clock is ahead of this host's; negative if behind.
        switched_off: Settings that are off although a crash may then lose acknowledged data.
    """

    where: str
    version: str
    standby: bool
    connections: int
    connections_max: int
    switched_off: list[str]
    skew_s: float


class Backlog(NamedTuple):
    """The pending work and its oldest entries; a time is None if nothing is pending."""

    now: datetime
    oldest_due: datetime | None
    pending: int
    oldest_pending: datetime | None
    earliest_deadline: datetime | None
    open_cases: int
    oldest_case: datetime | None


class SchedulerState(NamedTuple):
    """The beat that schedules, or did so last.

    Attributes:
        fence: How often another beat took over, plus 1.
        term_s: Seconds since it took the lease.
        expired_s: Seconds since its lease expired; negative before that.
    """

    holder: str
    fence: int
    term_s: float
    expired_s: float


def server_facts(database_url: str) -> ServerFacts:
    """Read the server's configuration and clock.

    Raises:
        StorageUnavailableError: It can't be reached.
    """
    row, asked_at = _ask(database_url, MonitoringSql.server_facts)
    now, version, standby, connections, connections_max, switched_off = row
    skew_s = (now - asked_at).total_seconds()
    return ServerFacts(
        describe_target(database_url), version, standby, connections, connections_max, list(switched_off), skew_s
    )


def backlog(database_url: str) -> Backlog:
    """Read the pending work. The schema must be this version's.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    return Backlog(*_ask(database_url, MonitoringSql.backlog)[0])


def has_break_glass(database_url: str) -> bool:
    """Return whether an account may use its password where the identity provider signs all others in.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    return bool(_ask(database_url, MonitoringSql.has_break_glass)[0][0])


def find_scheduler(database_url: str) -> SchedulerState | None:
    """Return which beat schedules, or did so last; None before the first one.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    with translate_database_errors(), connect(database_url) as conn:
        row = conn.execute(MonitoringSql.scheduler).fetchone()
    return None if row is None else SchedulerState(*row)


def count_recent_requests(database_url: str, window_s: float) -> tuple[int, int]:
    """Return how many requests named unknown codes, and how many redeemed, in the last seconds, over all API processes.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    unknown, redeemed = _ask(database_url, MonitoringSql.recent_requests, window_s)[0]
    return unknown, redeemed


def endpoints_lately(database_url: str) -> tuple[int, int, int]:
    """Return how many webhook endpoints are enabled, fail, and were disabled after repeated failures.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    enabled, failing, given_up = _ask(database_url, MonitoringSql.endpoints_lately)[0]
    return enabled, failing, given_up


def count_cloud_event_senders(database_url: str) -> tuple[int, int]:
    """Return how many enabled webhook endpoints, and how many relays, send CloudEvents.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    endpoints, relays = _ask(database_url, MonitoringSql.cloud_event_senders)[0]
    return endpoints, relays


def sampled_vault(database_url: str, vault: Vault, is_over: Callable[[], bool]) -> tuple[VaultSample, int]:
    """Check rows of the vault until the time is over; return the result and about how many rows there are.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    with translate_database_errors(), connect(database_url) as conn:
        size = conn.execute(MonitoringSql.size_of_vault).fetchall()[0][0]
        return sample_vault(conn, vault, random.SystemRandom().random(), is_over), size


def count_ending_keys(database_url: str) -> tuple[int, datetime | None]:
    """Return how many API keys end soon without a replacement in use, and when the first of them ends.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    with translate_database_errors(), connect(database_url) as conn:
        count, first = find_ending_keys(conn)
    return count, first


def _ask(database_url: str, query: LiteralString, *parameters: object) -> tuple[tuple[Any, ...], datetime]:
    """Return one row, and this host's time in the middle of the query."""
    with translate_database_errors(), connect(database_url) as conn:
        started, asked = time.monotonic(), datetime.now(UTC)
        row = conn.execute(query, parameters).fetchone()
        half = (time.monotonic() - started) / 2
    if row is None:
        raise AssertionError
    return row, datetime.fromtimestamp(asked.timestamp() + half, UTC)
