"""Opening the store from settings, as API, workers, CLI and tests do."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

from domain.application import RedemptionLedger
from projections.config.settings import LedgerSettings
from projections.database.connection import connect
from projections.database.datastore import LedgerDatastore
from projections.database.errors import StorageUnavailableError, translate_connection_errors
from projections.database.migrations import check_schema_on
from projections.event_store.recorder import PostgresLedgerRecorder
from projections.storage.key_check import add_key_checks, compare_stored_keys
from projections.vault.vault import Vault

PERSISTENCE_MODULE = "projections.event_store.factory:LedgerFactory"


@dataclass(frozen=True, slots=True)
class LedgerStore:
    """An open ledger with its vault. Build it after a fork, never before: connections are not process-safe."""

    ledger: RedemptionLedger
    recorder: PostgresLedgerRecorder
    vault: Vault

    @classmethod
    def open(cls, settings: LedgerSettings, *, pool_size: int = 4, reads_only: bool = False) -> "LedgerStore":
        """Check schema and keys, then open the ledger.

        Args:
            settings: Where it is, and its keys.
            pool_size: Connections at most.
            reads_only: Whether PostgreSQL is to refuse what writes, commands too. Schema and keys are not checked then,
                because this process has done so: during an upgrade its schema is not the newest one any more.

        Raises:
            StorageUnavailableError: The database can't be reached.
            SchemaMismatchError: The schema is not this version's.
            WrongKeysError: The keyrings are not those of this database.
        """
        database_url = settings.database_url.get_secret_value()
        vault = settings.open_vault()
        if not reads_only:
            with translate_connection_errors(database_url), connect(database_url) as conn:
                check_schema_on(conn)
                compare_stored_keys(conn, vault)
                add_key_checks(conn, vault)
        env = {
            "PERSISTENCE_MODULE": PERSISTENCE_MODULE,
            "DATABASE_URL": database_url,
            "LEDGER_POOL_SIZE": str(pool_size),
            "LEDGER_POOL_READS_ONLY": "yes" if reads_only else "no",
        }
        ledger = RedemptionLedger(env, settings.policy)
        recorder = cast("PostgresLedgerRecorder", ledger.recorder)
        try:
            recorder.set_clock()
        except StorageUnavailableError:
            ledger.close()
            raise
        return cls(ledger, recorder, vault)

    @property
    def datastore(self) -> LedgerDatastore:
        """The pool, for reading outside `execute`."""
        return self.recorder.datastore

    def close(self) -> None:
        """Close the pool."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
