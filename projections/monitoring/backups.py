"""What a backup needs to know of the database, and how old the last good backup is."""

from datetime import datetime
from typing import Final, NamedTuple

from projections.database.connection import connect
from projections.database.errors import translate_database_errors
from projections.sql.monitoring import MonitoringSql

SLOT: Final = "ledger_backup"
"""Name of the replication slot by which WAL is received."""


class DatabaseFacts(NamedTuple):
    """What a backup says about its database.

    Attributes:
        system: Identifier of the database system; a restored copy keeps it.
        major: Major version of PostgreSQL.
        position: Log position of the newest event.
    """

    now: datetime
    system: str
    major: int
    segment_bytes: int
    position: int
    is_standby: bool
    timeline: int


class BackupState(NamedTuple):
    """How far the ledger is backed up.

    Attributes:
        age_s: Seconds since the last complete backup; None if there was none.
        is_receiving: Whether WAL is received now; None if it never was.
        behind_bytes: WAL that was written and not received yet.
    """

    age_s: float | None
    is_receiving: bool | None
    behind_bytes: int


def read_database_facts(database_url: str) -> DatabaseFacts:
    """Read what a backup says about its database.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    with translate_database_errors(), connect(database_url) as conn:
        return DatabaseFacts(*conn.execute(MonitoringSql.database_facts).fetchall()[0])


def read_backup_state(database_url: str) -> BackupState:
    """Read how far the ledger is backed up.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    with translate_database_errors(), connect(database_url) as conn:
        return BackupState(*conn.execute(MonitoringSql.backup_state, (SLOT,)).fetchall()[0])


def is_slot_lost(database_url: str) -> bool:
    """Return whether the server deleted WAL that was not received yet.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    with translate_database_errors(), connect(database_url) as conn:
        row = conn.execute(MonitoringSql.slot_status, (SLOT,)).fetchone()
    return row is not None and row[0] == "lost"
