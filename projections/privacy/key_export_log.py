"""Which keys were written out for safe keeping. A key that was not is one disk away from a vault that nobody opens."""

from collections.abc import Mapping

import psycopg

from projections.database.connection import connect, describe_target
from projections.database.errors import StorageUnavailableError
from projections.repositories.audit_log import AuditLog, AuditRecorder
from projections.sql.privacy import PrivacySql
from projections.vault.key_ring import KeyRing


def record_key_export(action: AuditLog, rings: Mapping[str, KeyRing]) -> None:
    """Remember that these keys were exported, with a line in the audit log."""

    def change(record: AuditRecorder) -> None:
        with action.storage.datastore.get_connection() as conn:
            for name, ring in rings.items():
                conn.execute(PrivacySql.mark_keys_exported, (name, sorted(ring.keys)))
        record("exported_keys")

    action.perform(change)


def list_unexported_keys(database_url: str, rings: Mapping[str, KeyRing]) -> list[str]:
    """Keys of these rings that were never exported, such as `pepper 1`.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    try:
        with connect(database_url) as conn:
            rows = conn.execute(PrivacySql.keys_not_exported).fetchall()
    except psycopg.OperationalError as error:
        raise StorageUnavailableError(f"{describe_target(database_url)}: {str(error).strip()}") from error
    return [f"{ring} {key_id}" for ring, key_id in rows if ring in rings and key_id in rings[ring].keys]
