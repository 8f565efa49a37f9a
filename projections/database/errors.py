"""What can go wrong with the store itself, as opposed to what a rule refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import eventsourcing.persistence as library
import psycopg


class StorageUnavailableError(Exception):
    """The database is away, or did not answer in time. Whether the last commit happened is unknown; ask again."""


class WrongKeysError(Exception):
    """The key rings are not those that this database was written with."""


class OlderStateError(Exception):
    """The database does not hold what was published of it: it was set back. The message says what to do."""


class SchemaMismatchError(Exception):
    """The database's schema is older or newer than this code."""


class NewerSchemaError(SchemaMismatchError):
    """It is newer: waiting does not help."""


class RolesMissingError(Exception):
    """The running role is not as it should be, and the owner may not change it. Says what an administrator types."""


DATABASE_UNAVAILABLE: Final = (
    StorageUnavailableError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    library.OperationalError,
    library.InterfaceError,
)
"""The store's own error, and those of driver and library where a statement runs without it."""

BAD_VALUE_ERRORS: Final = (psycopg.DataError, library.DataError)
"""A value that the database or its driver cannot take or give: a bug, which no retry helps. It passes through."""


@contextmanager
def translate_database_errors(
    absent: tuple[type[Exception], ...] = (library.PersistenceError, psycopg.Error),
) -> Iterator[None]:
    """Run a block against the database; what shows that the database is unavailable is raised as that.

    Args:
        absent: Errors that show it. Those of `BAD_VALUE_ERRORS` among them are raised as they are.

    Raises:
        StorageUnavailableError: The database cannot be reached, or did not answer in time.
    """
    try:
        yield
    except BAD_VALUE_ERRORS:
        raise
    except absent as error:
        raise StorageUnavailableError(str(error).strip()) from error
