"""Roles of least privilege: the owner migrates, the runtime role runs, and the eraser role changes the vault.

- The owner (LEDGER_OWNER_DATABASE_URL) migrates, rebuilds and imports.
- The runtime role (DATABASE_URL) reads, appends to the log, the vault, the audit log and the checkpoints, and writes
  the other tables. It cannot alter or drop what it appended.
- The eraser role (the name of the runtime role with `_forget`) alters and drops rows of the vault, to erase a person or
  to rotate keys, and writes staff accounts and API keys. The runtime role assumes it by SET LOCAL ROLE, for one
  transaction.

Rights are granted after each migration, so that new tables have them. Only rights that differ are changed.
"""

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from projections.database.connection import LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS, connect
from projections.database.errors import (
    RolesMissingError,
    describe_target,
    translate_connection_errors,
    translate_database_errors,
)
from projections.sql.database import DatabaseSql

APPEND_ONLY: Final = ("ledger_events", "audit", "checkpoints")
VAULT: Final = ("code_texts", "recipients", "private_texts", "text_subjects")
READ, APPEND, WRITE = ("SELECT",), ("INSERT", "SELECT"), ("DELETE", "INSERT", "SELECT", "UPDATE")
ALTER = ("DELETE", "SELECT", "UPDATE")
UPSERT = ("INSERT", "SELECT", "UPDATE")
ACCESS: Final = ("staff", "api_keys")
"""Tables of credentials: the runtime role reads them, and only the eraser role writes them."""
SIGN_IN: Final = ("staff_identities", "staff_links", "staff_factors", "staff_recovery_codes")
"""Tables of how accounts sign in: as above, and the eraser role deletes their rows, too."""
SESSIONS: Final = "staff_sessions"
IDLE_IN_TRANSACTION_MS = 30_000


def prepare_roles(owner_url: str, running_url: str) -> None:
    """Create the roles and grant their rights; without effect if the owner itself runs.

    Call it while no other process migrates.

    Args:
        owner_url: libpq URI of the role that owns the tables.
        running_url: The same database as the runtime role, with its password.

    Raises:
        RolesMissingError: The role is missing or has another password, and the owner may not change that.
        StorageUnavailableError: The server can't be reached.
    """
    running = conninfo_to_dict(running_url)
    role, password = str(running.get("user") or ""), running.get("password")
    with translate_connection_errors(owner_url), connect(owner_url) as conn:
        if role in ("", conn.info.user):
            return
        with conn.transaction():
            _create_roles(conn, role)
            _grant_rights(conn, role)
        _ensure_login(conn, running_url, role, None if password is None else str(password))


def owns_schema(database_url: str) -> bool:
    """Tell whether the role of a URL may change tables, which migrating, rebuilding and importing a log do.

    Raises:
        StorageUnavailableError: The server can't be reached.
    """
    with translate_connection_errors(database_url), connect(database_url) as conn:
        row = conn.execute(DatabaseSql.owns_schema).fetchone()
    return row is not None and bool(row[0])


def check_owner(database_url: str) -> None:
    """Check that the role of a URL may change tables.

    Raises:
        RolesMissingError: It may not; the message says how to run the command as the owner.
        StorageUnavailableError: The server can't be reached.
    """
    if not owns_schema(database_url):
        raise RolesMissingError(
            f"the role of {describe_target(database_url)} cannot change tables:"
            " set LEDGER_OWNER_DATABASE_URL to the owner"
            " (with Docker Compose: `docker compose run --rm migrate rebuild`, or another command instead of `rebuild`)"
        )


def eraser_role_of(role: str) -> str:
    """Return the name of the eraser role by the name of the runtime role."""
    return f"{role}_forget"


def list_roles_that_may_change_log(database_url: str) -> list[str]:
    """Return the visible roles of the ledger's processes that could alter events or the audit log.

    Raises:
        StorageUnavailableError: The server can't be reached.
    """
    with translate_database_errors(), connect(database_url) as conn:
        return sorted(row[0] for row in conn.execute(DatabaseSql.who_may_change_the_log))


def _create_roles(conn: Connection[Any], role: str) -> None:
    """Create both roles if they are missing."""
    row = conn.execute(DatabaseSql.role_facts, (role, eraser_role_of(role))).fetchone()
    may_make, *there = row or (False, False, False)
    missing = [name for name, is_there in zip((role, eraser_role_of(role)), there, strict=True) if not is_there]
    if missing and not may_make:
        raise RolesMissingError(
            f"the role {missing[0]} is missing and {conn.info.user} cannot create it: as an administrator run"
            f" CREATE ROLE {role} LOGIN PASSWORD '...'; CREATE ROLE {eraser_role_of(role)};"
            f" GRANT {eraser_role_of(role)} TO {role} WITH INHERIT FALSE; or ALTER ROLE {conn.info.user} CREATEROLE"
        )
    for name in missing:
        _run(conn, "CREATE ROLE {}", sql.Identifier(name))
    if missing:
        _run(conn, "GRANT {} TO {} WITH INHERIT FALSE", sql.Identifier(eraser_role_of(role)), sql.Identifier(role))
        # Also for who logs in as it without our settings.
        for setting, milliseconds in (
            ("statement_timeout", STATEMENT_TIMEOUT_MS),
            ("lock_timeout", LOCK_TIMEOUT_MS),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS),
        ):
            _run(conn, f"ALTER ROLE {{}} SET {setting} = {{}}", sql.Identifier(role), sql.Literal(milliseconds))


def _grant_rights(conn: Connection[Any], role: str) -> None:
    """Grant both roles exactly their rights on each table that exists now."""
    (schema,) = conn.execute(DatabaseSql.schema_of_tables).fetchall()[0]
    for name, rights_of in ((role, _rights_of_runtime_role), (eraser_role_of(role), _rights_of_eraser_role)):
        granted: Mapping[str, list[str]] = dict(conn.execute(DatabaseSql.table_rights, (name,)).fetchall())
        who = sql.Identifier(name)
        _run(conn, "GRANT USAGE ON SCHEMA {} TO {}", sql.Identifier(schema), who)
        for table, rights in granted.items():
            if tuple(rights) == (should := rights_of(table)):
                continue
            _run(conn, "REVOKE ALL ON {} FROM {}", sql.Identifier(table), who)
            if should:
                _run(conn, f"GRANT {', '.join(should)} ON {{}} TO {{}}", sql.Identifier(table), who)
    for (sequence,) in conn.execute(DatabaseSql.sequences_without_usage, (role,)).fetchall():
        _run(conn, "GRANT USAGE ON SEQUENCE {} TO {}", sql.Identifier(sequence), sql.Identifier(role))


def _rights_of_runtime_role(table: str) -> tuple[str, ...]:
    if "yoyo" in table:
        return READ
    if table in ACCESS or table in SIGN_IN:
        return READ
    return APPEND if table in APPEND_ONLY or table in VAULT else WRITE


def _rights_of_eraser_role(table: str) -> tuple[str, ...]:
    if table in ACCESS:
        return UPSERT
    if table in SIGN_IN:
        return WRITE
    # Another password, role or account ends sessions in the same statement.
    return ("DELETE", "SELECT") if table == SESSIONS else ALTER if table in VAULT else ()


def _ensure_login(conn: Connection[Any], running_url: str, role: str, password: str | None) -> None:
    """Set the password if the given one cannot log in."""
    try:
        connect(running_url).close()
    except psycopg.OperationalError as error:
        if password is None:
            raise RolesMissingError(f"{role} cannot log in ({error}): add its password to DATABASE_URL") from error
    else:
        return
    # Digested here, so that the server's log never has it in plain text.
    digest = conn.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    try:
        _run(conn, "ALTER ROLE {} LOGIN PASSWORD {}", sql.Identifier(role), sql.Literal(digest))
        connect(running_url).close()
    except (psycopg.errors.InsufficientPrivilege, psycopg.OperationalError) as error:
        raise RolesMissingError(
            f"{role} cannot log in with the password of DATABASE_URL ({str(error).strip()}):"
            f" as an administrator run ALTER ROLE {role} LOGIN PASSWORD '...'"
        ) from error


def _run(conn: Connection[Any], statement: str, *parts: sql.Composable) -> None:
    conn.execute(sql.SQL(statement).format(*parts))


def assume_eraser_role(conn: Connection[Any]) -> None:
    """Assume the eraser role until the transaction ends; without effect if the owner itself runs."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(DatabaseSql.vault_role).fetchone()
        if row is not None:
            cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(row[0])))


def assume_runtime_role(conn: Connection[Any]) -> None:
    """Return to the role that logged in, for the rest of the transaction."""
    conn.execute("SET LOCAL ROLE NONE")
