from typing import Final

import eventsourcing.persistence as library
import psycopg
import pytest
from psycopg.errors import lookup

from projections.database.errors import StorageUnavailableError, is_outage, translate_database_errors

OUTAGES: Final = {
    "08006": "the connection failed",
    "25006": "the server is a standby",
    "28P01": "the password was changed",
    "40001": "serialization failed",
    "40P01": "deadlock",
    "53100": "the disk is full",
    "53300": "too many connections",
    "55000": "recovery is in progress",
    "55P03": "a lock was not available in time",
    "57014": "statement timeout",
    "57P01": "the administrator stopped the server",
    "57P03": "the server is starting",
    "58030": "the disk failed",
}
DEFECTS: Final = {
    "0A000": "the statement is not supported",
    "22P02": "the text is not valid for the type",
    "23505": "a row exists already",
    "25P02": "the transaction has failed",
    "26000": "no such prepared statement",
    "3F000": "no such schema",
    "42501": "a privilege is missing",
    "42601": "the statement has a syntax error",
    "42703": "no such column",
    "42P01": "no such table",
    "54000": "the value is too large for the index",
    "P0001": "a trigger refuses",
    "XX001": "a page is damaged",
}
LIBRARY_ERRORS: Final = (
    library.OperationalError,
    library.DataError,
    library.IntegrityError,
    library.InternalError,
    library.ProgrammingError,
    library.NotSupportedError,
    library.DatabaseError,
)


def of_library(cause: psycopg.Error) -> library.PersistenceError:
    names = {kind.__name__ for kind in type(cause).__mro__}
    of_same_name = next(kind for kind in LIBRARY_ERRORS if kind.__name__ in names)
    try:
        raise of_same_name(str(cause)) from cause
    except library.PersistenceError as error:
        return error


@pytest.mark.parametrize("state", [*OUTAGES, *DEFECTS])
def test_error_of_the_server_is_an_outage_or_a_defect_by_its_state(state: str) -> None:
    error = lookup(state)("from the server")
    for raised in (error, of_library(error)):
        with (
            pytest.raises(StorageUnavailableError if state in OUTAGES else type(raised)) as seen,
            translate_database_errors(),
        ):
            raise raised
        assert (seen.value is raised) == (state in DEFECTS)


def test_error_without_a_state_is_an_outage_if_the_connection_failed() -> None:
    """The driver checks arguments itself, and notices a lost connection itself."""
    outages = [
        psycopg.OperationalError("server closed the connection"),
        psycopg.InterfaceError("the connection is closed"),
        library.OperationalError("pool exhausted"),
        library.InterfaceError("closed"),
        StorageUnavailableError("no answer in time"),
    ]
    others = [
        psycopg.ProgrammingError("the query has 1 placeholder but 2 parameters were passed"),
        psycopg.DataError("bad value"),
        library.ProgrammingError("no such method"),
        library.PersistenceError("unknown"),
        KeyError("row"),
        None,
    ]

    assert [error for error in outages if not is_outage(error)] == []
    assert [error for error in others if is_outage(error)] == []


def test_missing_privilege_is_explained_where_only_the_owner_may_work() -> None:
    refused = lookup("42501")("permission denied for table ledger_events")

    with (
        pytest.raises(StorageUnavailableError, match="an import needs the role that owns the tables"),
        translate_database_errors(owner_work="an import"),
    ):
        raise refused
