"""Opening the store from settings, as API, workers, CLI and tests do."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

from psycopg import Connection

from domain.application import RedemptionLedger
from projections.config.settings import LedgerSettings
from projections.database.connection import LedgerDatastore, connect
from projections.database.errors import (
    StorageUnavailableError,
    WrongKeysError,
    translate_connection_errors,
)
from projections.database.migrations import check_schema
from projections.event_store.recorder import PostgresLedgerRecorder
from projections.sql.event_store import EventStoreSql
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault

PERSISTENCE_MODULE = "projections.event_store.factory:LedgerFactory"


@dataclass(frozen=True, slots=True)
class LedgerStore:
    """An open ledger with its vault. Build it after a fork, never before: connections are not process-safe."""

    ledger: RedemptionLedger
    recorder: PostgresLedgerRecorder
    vault: Vault

    @classmethod
    def open(cls, settings: LedgerSettings, *, pool_size: int = 4) -> "LedgerStore":
        """Check schema and keys, then open the ledger.

        Raises:
            StorageUnavailableError: The database can't be reached.
            SchemaMismatchError: The schema is not this version's.
            WrongKeysError: The key rings are not those of this database.
        """
        database_url = settings.database_url.get_secret_value()
        vault = settings.open_vault()
        check_schema(database_url)
        verify_key_rings(database_url, vault)
        env = {
            "PERSISTENCE_MODULE": PERSISTENCE_MODULE,
            "DATABASE_URL": database_url,
            "LEDGER_POOL_SIZE": str(pool_size),
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
        return cast("LedgerDatastore", self.recorder.datastore)

    def close(self) -> None:
        """Close the pool."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def verify_key_rings(database_url: str, vault: Vault) -> None:
    """Compare the keyrings with the database's check values, and add the check value of a new key.

    Raises:
        WrongKeysError: A ring has another key under a known id, or shares no key with the database.
        StorageUnavailableError: The database can't be reached.
    """
    with translate_connection_errors(database_url), connect(database_url) as conn:
        _compare_stored_keys(conn, vault)


def compare_key_ring(name: str, ring: KeyRing, check_values: Mapping[int, bytes], origin: str) -> None:
    """Compare a ring with check values.

    Args:
        name: `pepper` or `master`.
        ring: The ring of this process.
        check_values: Check values by key id.
        origin: What they are of, for the message.

    Raises:
        WrongKeysError: The ring has another key under a known id, or shares no key with them.
    """
    values = ring.check_values()
    shared = check_values.keys() & values.keys()
    if any(check_values[key_id] != values[key_id] for key_id in shared) or (check_values and not shared):
        variable = {"pepper": "LEDGER_PEPPERS", "master": "LEDGER_MASTER_KEYS"}[name]
        raise WrongKeysError(
            f"{variable} does not hold the keys that {origin} was written with: set the exported keyrings"
        )


def _compare_stored_keys(conn: Connection[tuple[Any, ...]], vault: Vault) -> None:
    for name, ring in vault.rings.items():
        check_values = {row[0]: bytes(row[1]) for row in conn.execute(EventStoreSql.key_checks, (name,))}
        compare_key_ring(name, ring, check_values, "this database")
        for key_id, value in ring.check_values().items():
            conn.execute(EventStoreSql.insert_key_check, (name, key_id, value))
