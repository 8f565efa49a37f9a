"""The accounts of an embedded ledger's first start: an API key and a member of staff, both admins."""

from uuid import UUID

from projections.database.roles import assume_eraser_role
from projections.sql.repositories import RepositoriesSql
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import SearchableDraft


def insert_first_accounts(
    storage: LedgerStore, key_id: UUID, key_digest: bytes, staff: SearchableDraft, password_hash: str
) -> None:
    """Insert both accounts in one transaction; a repeated start replaces them with other secrets.

    Args:
        storage: The ledger.
        key_id: Random id of the key.
        key_digest: SHA-256 of the key.
        staff: Email address of the member of staff, with its random id.
        password_hash: As `api.auth.passwords` makes it.
    """
    clock = storage.recorder.clock
    sealed = staff.seal()
    with storage.datastore.get_connection() as conn, conn.transaction():
        clock.refresh(conn)
        now = clock.now()
        assume_eraser_role(conn)
        conn.execute(RepositoriesSql.insert_api_key, (key_id, key_digest, "admin", now))
        row = (staff.new_id, staff.digests[0], staff.pepper_id, sealed.sealed, sealed.key_id)
        conn.execute(RepositoriesSql.upsert_staff, (*row, password_hash, "admin", now))
