"""Checks of the server behind the URL: primary or standby, durability, and what a pool between us and it changes."""

from typing import Final

from projections.database.connection import LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS
from projections.engine_check.check_sessions import CheckSessions, ask
from projections.engine_check.findings import EngineFaultError, LimitedEngineError
from projections.sql.engine_check import EngineCheckSql

BOUNDS: Final = {"statement_timeout": str(STATEMENT_TIMEOUT_MS), "lock_timeout": str(LOCK_TIMEOUT_MS)}
"""What our connections ask for; a role of the ledger has the same as its own settings."""


def check_primary(sessions: CheckSessions) -> str:
    """Check that both sessions reached a server that takes writes.

    Raises:
        EngineFaultError: One reached a standby, or a server that is read-only.
    """
    for conn in (sessions.first, sessions.second):
        version, is_standby, is_read_only = ask(conn, EngineCheckSql.engine_facts)
        if is_standby:
            raise EngineFaultError(f"{version}: a standby, which accepts no writes: name the primary")
        if is_read_only:
            raise EngineFaultError(
                f"{version}: transactions are read-only: name a primary, or unset default_transaction_read_only"
            )
    return f"{version}, a primary"


def check_durability(sessions: CheckSessions) -> str:
    """Check that what was acknowledged survives a crash, and a failover if standbys are synchronous.

    Raises:
        EngineFaultError: It does not.
    """
    fsync, full_page_writes, synchronous_commit, standbys = ask(sessions.first, EngineCheckSql.durability)
    values = {"fsync": fsync, "full_page_writes": full_page_writes, "synchronous_commit": synchronous_commit}
    if off := [name for name, value in values.items() if value == "off"]:
        raise EngineFaultError(f"{', '.join(off)} is off: turn it on in the server's configuration")
    if standbys and synchronous_commit == "local":
        raise EngineFaultError(
            "synchronous_commit is local although synchronous_standby_names is set: set it to on for this role"
        )
    waits = f"commits wait for standbys ({standbys})" if standbys else "commits wait for no standby"
    return f"fsync on, synchronous_commit {synchronous_commit}; {waits}"


def check_session_settings(sessions: CheckSessions) -> str:
    """Check that the bounds that a connection asks for hold, and that a session is ours alone.

    Raises:
        LimitedEngineError: A pool between us and the server drops the bounds, or shares sessions.
        EngineFaultError: The session's time zone is not UTC.
    """
    settings = dict(sessions.first.execute(EngineCheckSql.session_settings).fetchall())
    if settings["TimeZone"].upper() not in {"UTC", "ETC/UTC", "GMT"}:
        raise EngineFaultError(f"the time zone of sessions is {settings['TimeZone']}: set it to UTC for this role")
    if dropped := [name for name, value in BOUNDS.items() if settings[name] != value]:
        shown = ", ".join(f"{name} is {settings[name]} ms" for name in dropped)
        raise LimitedEngineError(
            f"options of connections are ignored ({shown}): set them by ALTER ROLE, as `ledger migrate` does for roles"
            " that it creates"
        )
    if sessions.is_pooled:
        raise LimitedEngineError(
            "a pool shares sessions between clients: give LEDGER_OWNER_DATABASE_URL the server itself"
        )
    return "bounds of statements and locks hold"
