"""Opening a ledger for reading: one connection and the vault, which is all that a command needs to print something."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from psycopg import Connection

from projections.config.settings import LedgerSettings
from projections.database.connection import connect
from projections.database.errors import translate_connection_errors
from projections.database.migrations import check_schema_on
from projections.sql.database import DatabaseSql
from projections.storage.key_check import compare_stored_keys
from projections.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class ReadStore:
    """A vault, and one connection in the place of a pool."""

    vault: Vault
    connection: Connection[Any]

    @classmethod
    @contextmanager
    def open(cls, settings: LedgerSettings) -> Iterator[Self]:
        """Connect, and check schema and keys.

        Raises:
            StorageUnavailableError: The database can't be reached.
            SchemaMismatchError: The schema is not this version's.
            WrongKeysError: The keyrings are not those of this database.
        """
        database_url, vault = settings.database_url.get_secret_value(), settings.open_vault()
        with translate_connection_errors(database_url):
            conn = connect(database_url)
        with conn:
            with translate_connection_errors(database_url):
                check_schema_on(conn)
                compare_stored_keys(conn, vault)
            yield cls(vault, conn)

    @property
    def datastore(self) -> Self:
        """This store, as the source of its connection."""
        return self

    @contextmanager
    def get_connection(self) -> Iterator[Connection[Any]]:
        """Return the connection."""
        yield self.connection

    def now(self) -> datetime:
        """Return the time of the database."""
        row = self.connection.execute(DatabaseSql.database_now).fetchone()
        return row[0]  # type: ignore[index,no-any-return]  # the statement returns one row
