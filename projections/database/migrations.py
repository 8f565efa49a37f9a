"""Numbered SQL migrations, applied by yoyo under an advisory lock of our own.

Several processes may start at once: one migrates, the others wait (bounded) and find it done.
"""

import warnings
from importlib.resources import as_file, files
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from projections import sql
from projections.database.connection import connect, describe_target
from projections.database.errors import NewerSchemaError, SchemaMismatchError, StorageUnavailableError
from projections.database.roles import prepare_roles
from projections.sql.database import DatabaseSql

MIGRATION_LOCK = 1818518632
MIGRATION_S_MAX = 600


def migrate(database_url: str, running_url: str | None = None) -> list[str]:
    """Bring the schema up to this code, and give the running role its rights.

    Args:
        database_url: libpq URI of the role that owns the schema.
        running_url: The same database as the role that runs, if that is another.

    Returns:
        Ids of the migrations applied now, in order; empty if there was nothing to do.

    Raises:
        StorageUnavailableError: The server can't be reached, or another process migrates for too long.
        SchemaMismatchError: Somebody changed the schema by hand, and a migration does not fit.
        RolesMissingError: The running role is not as it should be and the owner may not change that; the schema is.
    """
    options = {"options": f"-c lock_timeout={MIGRATION_S_MAX}s -c TimeZone=UTC"}
    try:
        with connect(database_url, **options) as guard:
            guard.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
            applied = _apply(database_url)
            if running_url is not None:
                prepare_roles(database_url, running_url)
            return applied
    except psycopg.OperationalError as error:
        message = f"PostgreSQL at {describe_target(database_url)} can't be reached: {str(error).strip()}"
        raise StorageUnavailableError(message) from error


def list_migrations() -> list[str]:
    """Ids of the migrations that this code brings, in order."""
    folder = files(sql).joinpath("migrations")
    return sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))


def check_schema(database_url: str) -> None:
    """Make sure that the schema is exactly the one that this code knows.

    Raises:
        SchemaMismatchError: It is older (run `ledger migrate`) or newer (run the newer version).
        StorageUnavailableError: The server can't be reached.
    """
    try:
        with connect(database_url) as conn:
            applied = [row[0] for row in conn.execute(DatabaseSql.applied_migrations)]
    except psycopg.errors.UndefinedTable:
        applied = []
    except psycopg.OperationalError as error:
        message = f"PostgreSQL at {describe_target(database_url)} can't be reached: {str(error).strip()}"
        raise StorageUnavailableError(message) from error
    own_migrations = list_migrations()
    if unknown := sorted(set(applied) - set(own_migrations)):
        message = f"the database's schema is newer than this version (it has {unknown[-1]}): run the newer version"
        raise NewerSchemaError(message)
    if missing := sorted(set(own_migrations) - set(applied)):
        message = f"the database's schema is older than this version (it lacks {missing[0]}): run `ledger migrate`"
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
    """Run a migration and note it, both or neither.

    yoyo itself commits the two one after the other; who is killed in between could never migrate again.
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
            f"the schema is not what {migration.id} expects ({why}): nothing of that step was kept; "
            "restore a backup, or report this"
        ) from error


def _yoyo_url(database_url: str) -> str:
    """The same target in yoyo's own URL form, whatever form of libpq's it was given in."""
    parameters = {key: str(value) for key, value in conninfo_to_dict(database_url).items() if value is not None}
    user, password = parameters.pop("user", ""), parameters.pop("password", "")
    dbname = parameters.pop("dbname", "")
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    return f"postgresql+psycopg://{credentials}/{quote(dbname)}?{urlencode(parameters)}"
