"""Which keys were exported. Without an exported key, one broken disk makes the vault unreadable."""

from collections.abc import Mapping

from projections.database.connection import connect
from projections.database.errors import translate_connection_errors
from projections.repositories.audit_log import AuditLog, AuditRecorder
from projections.sql.privacy import PrivacySql
from projections.vault.key_ring import KeyRing


def record_key_export(audit_log: AuditLog, rings: Mapping[str, KeyRing]) -> None:
    """Record that these keys were exported, with an entry in the audit log."""

    def change(record: AuditRecorder) -> None:
        with audit_log.storage.datastore.get_connection() as conn:
            for name, ring in rings.items():
                conn.execute(PrivacySql.mark_keys_exported, (name, sorted(ring.keys)))
        record("exported_keys")

    audit_log.perform(change)


def list_unexported_keys(database_url: str, rings: Mapping[str, KeyRing]) -> list[str]:
    """Return the keys of these rings that were never exported, such as `pepper 1`.

    Raises:
        StorageUnavailableError: The database can't be reached.
    """
    with translate_connection_errors(database_url), connect(database_url) as conn:
        exported = set(conn.execute(PrivacySql.exported_keys).fetchall())
    present = sorted((name, key_id) for name, ring in rings.items() for key_id in ring.keys)
    return [f"{name} {key_id}" for name, key_id in present if (name, key_id) not in exported]
