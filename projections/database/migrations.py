"""Numbered SQL migrations, applied by yoyo under an advisory lock.

If several processes start at the same time, one migrates; the others wait for it, up to a bound.
"""

import warnings
from importlib.resources import as_file, files
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from projections import sql
from projections.database.connection import connect
from projections.database.errors import (
    NewerSchemaError,
    SchemaMismatchError,
    translate_connection_errors,
)
from projections.database.roles import prepare_roles
from projections.sql.database import DatabaseSql

MIGRATION_LOCK = 1818518632
MIGRATION_S_MAX = 600


def migrate(database_url: str, running_url: str | None = None) -> list[str]:
    """Migrate the schema to the version of this code, and grant the runtime role its rights.

    Args:
        database_url: libpq URI of the role that owns the schema.
        running_url: The same database as the runtime role, if that is another.

    Returns:
        Ids of the migrations applied now, in order; empty if there was nothing to do.

    Raises:
        StorageUnavailableError: The server can't be reached, or another process migrates for too long.
        SchemaMismatchError: The schema was changed manually, and a migration does not fit.
        RolesMissingError: The schema is migrated, but the owner may not change the runtime role as needed.
    """
    options = {"options": f"-c lock_timeout={MIGRATION_S_MAX}s -c TimeZone=UTC"}
    with translate_connection_errors(database_url), connect(database_url, answer_timeout_s=None, **options) as guard:
        guard.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        applied = _apply(database_url)
        if running_url is not None:
            prepare_roles(database_url, running_url)
        return applied


def list_migrations() -> list[str]:
    """Return the ids of the migrations of this code, in order."""
    folder = files(sql).joinpath("migrations")
    return sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))


def check_schema(database_url: str) -> None:
    """Check that the schema is exactly the one of this code.

    Raises:
        SchemaMismatchError: It is older (run `ledger migrate`) or newer (run the newer version).
        StorageUnavailableError: The server can't be reached.
    """
    with translate_connection_errors(database_url), connect(database_url) as conn:
        check_schema_on(conn)


def check_schema_on(conn: Connection[tuple[Any, ...]]) -> None:
    """Do the same on an open connection."""
    try:
        applied = [row[0] for row in conn.execute(DatabaseSql.applied_migrations)]
    except psycopg.errors.UndefinedTable:
        applied = []
    own_migrations = list_migrations()
    if unknown := sorted(set(applied) - set(own_migrations)):
        message = f"the database schema is newer than this version (it has {unknown[-1]}): run the newer version"
        raise NewerSchemaError(message)
    if missing := sorted(set(own_migrations) - set(applied)):
        message = f"the database schema is older than this version (it lacks {missing[0]}): run `ledger migrate`"
        raise SchemaMismatchError(message)


def _apply(database_url: str) -> list[str]:
    import yoyo  # noqa: PLC0415 - every process checks the schema, one migrates it

    with as_file(files(sql).joinpath("migrations")) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backend = yoyo.get_backend(_yoyo_url(database_url))
        try:
            migrations = backend.to_apply(yoyo.read_migrations(str(folder)))
            for migration in migrations:
                _apply_one(backend, migration)
            return [migration.id for migration in migrations]
        finally:
            backend.connection.close()


def _apply_one(backend: Any, migration: Any) -> None:  # noqa: ANN401 - yoyo has no types
    """Run a migration and record it in one transaction.

    yoyo itself commits the two one after the other; a process that is killed in between could never migrate again.
    """
    try:
        with backend.copy() as transaction_backend, transaction_backend.transaction():
            migration.process_steps(transaction_backend, "apply")
            transaction_backend.log_migration(migration, "apply")
            transaction_backend.mark_one(migration, log=False)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        why = str(error).strip().splitlines()[0]
        raise SchemaMismatchError(
            f"migration {migration.id} failed because the schema is not as expected ({why}); it was rolled back: "
            "restore a backup, or report this"
        ) from error


def _yoyo_url(database_url: str) -> str:
    """Return the same target in the URL form of yoyo."""
    parameters = {key: str(value) for key, value in conninfo_to_dict(database_url).items() if value is not None}
    user, password = parameters.pop("user", ""), parameters.pop("password", "")
    dbname = parameters.pop("dbname", "")
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    return f"postgresql+psycopg://{credentials}/{quote(dbname)}?{urlencode(parameters)}"
