"""Errors of the store itself, as opposed to refusals by a rule."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import eventsourcing.persistence as library
import psycopg
from psycopg.conninfo import conninfo_to_dict


class StorageUnavailableError(Exception):
    """The database is unavailable or did not answer in time.

    Whether the last commit happened is unknown; the caller may ask again.
    """


class WrongKeysError(Exception):
    """The keyrings are not those that this database was written with."""


class OlderStateError(Exception):
    """The database lacks a published checkpoint: it was restored from an older backup. The message says what to do."""


class SchemaMismatchError(Exception):
    """The database's schema is older or newer than this code."""


class NewerSchemaError(SchemaMismatchError):
    """The database's schema is newer than this code: waiting does not help."""


class RolesMissingError(Exception):
    """The runtime role lacks rights, and the owner may not grant them. The message says what an administrator types."""


DATABASE_UNAVAILABLE: Final = (
    StorageUnavailableError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    library.OperationalError,
    library.InterfaceError,
)
"""The store's own error, and those of driver and library for statements that run without the store."""

BAD_VALUE_ERRORS: Final = (psycopg.DataError, library.DataError)
"""Errors about a value that the database or its driver cannot accept: a bug, which no retry fixes.

They are raised unchanged.
"""


ANY: Final = (library.PersistenceError, psycopg.Error)
OUTAGES: Final = (psycopg.OperationalError,)


@contextmanager
def translate_database_errors(
    what: str = "", *, absent: tuple[type[Exception], ...] = ANY, owner_work: str = ""
) -> Iterator[None]:
    """Run a block against the database; raise what shows an outage as `StorageUnavailableError`.

    Args:
        what: Begins the message, such as "the database became unavailable during the export".
        absent: Errors that show an outage. `BAD_VALUE_ERRORS` among them are raised as they are.
        owner_work: Work that only the owner of the tables may do, such as "an import".

    Raises:
        StorageUnavailableError: The database cannot be reached, or did not answer in time; or the role may not do this.
    """
    try:
        yield
    except ANY as error:
        if owner_work and isinstance(error, psycopg.errors.InsufficientPrivilege):
            message = f"{owner_work} needs the role that owns the tables: {error}"
        elif isinstance(error, absent) and not isinstance(error, BAD_VALUE_ERRORS):
            message = f"{what}: {str(error).strip()}".removeprefix(": ")
        else:
            raise
        raise StorageUnavailableError(message) from error


def translate_outage(work: str, *, owner_work: str = "") -> AbstractContextManager[None]:
    """Translate errors of a long operation such as "export", during which the database may become unavailable."""
    return translate_database_errors(
        f"the connection to the database was lost during the {work}", absent=OUTAGES, owner_work=owner_work
    )


def translate_connection_errors(database_url: str) -> AbstractContextManager[None]:
    """Translate errors of a separate connection; the message names its target without the password."""
    return translate_database_errors(f"cannot connect to PostgreSQL at {describe_target(database_url)}", absent=OUTAGES)


def describe_target(database_url: str) -> str:
    """Return where a URI points, without its password, for messages to operators."""
    parameters = conninfo_to_dict(database_url)
    return f"{parameters.get('host', 'localhost')}:{parameters.get('port', '5432')}/{parameters.get('dbname', '')}"
