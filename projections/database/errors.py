"""Errors of the store itself, as opposed to refusals by a rule."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, NamedTuple

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


OUTAGE_CLASSES: Final = frozenset({"08", "28", "40", "53", "55", "57", "58", "F0"})
"""Classes of SQLSTATE that say that the server cannot do now what it could do before or can do later.

They are, as in appendix A of PostgreSQL's documentation: connection, its authorization, transaction rollback,
insufficient resources, object not in prerequisite state (a lock, a recovery), operator intervention (a timeout, a
shutdown), system error, configuration file.
"""
OUTAGE_STATES: Final = frozenset({"25006", "25P03", "25P04"})
"""The same of other classes: a server that only reads, as after a failover, and two timeouts of transactions."""


class _ErrorClasses(NamedTuple):
    """Classes of errors that driver and library raise.

    Attributes:
        every: All of them.
        without_state: What they raise themselves if there is no connection, or one does not answer in time.
    """

    every: tuple[type[Exception], ...]
    without_state: tuple[type[Exception], ...]


def _load_error_classes() -> _ErrorClasses:
    import eventsourcing.persistence as library  # noqa: PLC0415 - a command that reads meets no error, and starts sooner

    return _ErrorClasses(
        every=(library.PersistenceError, psycopg.Error),
        without_state=(
            *(psycopg.OperationalError, psycopg.InterfaceError),
            *(library.OperationalError, library.InterfaceError),
        ),
    )


def is_outage(error: object) -> bool:
    """Return whether an error shows that the database is unavailable, so that the same request may succeed later.

    Every other error is a defect, which no retry fixes: a value that the database cannot accept, a missing privilege,
    table or column, a broken constraint, a program limit, damaged data.
    """
    classes = _load_error_classes()
    if isinstance(error, classes.every) and (state := _find_state(error)) is not None:
        return state[:2] in OUTAGE_CLASSES or state in OUTAGE_STATES
    return isinstance(error, (StorageUnavailableError, *classes.without_state))


def _find_state(error: BaseException | None) -> str | None:
    """Return the SQLSTATE of an error of the server; the library's errors have the driver's as their cause."""
    while error is not None:
        if isinstance(error, psycopg.Error) and error.sqlstate is not None:
            return error.sqlstate
        error = error.__cause__
    return None


@contextmanager
def translate_database_errors(what: str = "", *, owner_work: str = "") -> Iterator[None]:
    """Run a block against the database; raise what shows an outage as `StorageUnavailableError`, the rest as it is.

    Args:
        what: Begins the message, such as "the database became unavailable during the export".
        owner_work: Work that only the owner of the tables may do, such as "an import".

    Raises:
        StorageUnavailableError: The database cannot be reached, or did not answer in time; or only the owner may do
            this work.
    """
    try:
        yield
    except _load_error_classes().every as error:
        if owner_work and isinstance(error, psycopg.errors.InsufficientPrivilege):
            message = f"{owner_work} needs the role that owns the tables: {error}"
        elif is_outage(error):
            message = f"{what}: {str(error).strip()}".removeprefix(": ")
        else:
            raise
        raise StorageUnavailableError(message) from error


def translate_outage(work: str, *, owner_work: str = "") -> AbstractContextManager[None]:
    """Translate errors of a long operation such as "export", during which the database may become unavailable."""
    return translate_database_errors(
        f"the connection to the database was lost during the {work}", owner_work=owner_work
    )


def translate_connection_errors(database_url: str) -> AbstractContextManager[None]:
    """Translate errors of a separate connection; the message names its target without the password."""
    return translate_database_errors(f"cannot connect to PostgreSQL at {describe_target(database_url)}")


def describe_target(database_url: str) -> str:
    """Return where a URI points, without its password, for messages to operators."""
    parameters = conninfo_to_dict(database_url)
    return f"{parameters.get('host', 'localhost')}:{parameters.get('port', '5432')}/{parameters.get('dbname', '')}"
