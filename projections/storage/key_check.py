"""Comparison of keyrings with the check values that a database holds of its own."""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from projections.database.connection import connect
from projections.database.errors import WrongKeysError, translate_connection_errors
from projections.sql.event_store import EventStoreSql
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault


def verify_key_rings(database_url: str, vault: Vault) -> None:
    """Compare the keyrings with the database's check values, and add the check value of a new key.

    Raises:
        WrongKeysError: A ring has another key under a known id, or shares no key with the database.
        StorageUnavailableError: The database can't be reached.
    """
    with translate_connection_errors(database_url), connect(database_url) as conn:
        compare_stored_keys(conn, vault)
        add_key_checks(conn, vault)


def check_key_rings(database_url: str, vault: Vault) -> None:
    """Compare the keyrings with the database's check values, and write nothing.

    Raises:
        WrongKeysError, StorageUnavailableError: As `verify_key_rings`.
    """
    with translate_connection_errors(database_url), connect(database_url) as conn:
        compare_stored_keys(conn, vault)


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


def compare_stored_keys(conn: Connection[tuple[Any, ...]], vault: Vault) -> None:
    """Compare the keyrings with the check values of a database that is open.

    Raises:
        WrongKeysError: As `compare_key_ring`.
    """
    for name, ring in vault.rings.items():
        check_values = {row[0]: bytes(row[1]) for row in conn.execute(EventStoreSql.key_checks, (name,))}
        compare_key_ring(name, ring, check_values, "this database")


def add_key_checks(conn: Connection[tuple[Any, ...]], vault: Vault) -> None:
    """Add the check values of new keys."""
    for name, ring in vault.rings.items():
        for key_id, value in ring.check_values().items():
            conn.execute(EventStoreSql.insert_key_check, (name, key_id, value))
