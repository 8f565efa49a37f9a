"""Secrets that sign webhook messages: encrypted in the vault, shown once, and rotated without a gap.

An owner is a group's channel or an endpoint. After a rotation the former secret stays valid for a day, so that the
other side can switch to the new one at any time of it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import tuple_row

from domain.webhooks.signatures import SECRET_BYTES, secret_text
from projections.database.roles import assume_eraser_role
from projections.database.store_queries import Database, ReadableStore
from projections.sql.privacy import PrivacySql
from projections.sql.repositories import RepositoriesSql
from projections.storage.bootstrap import LedgerStore
from projections.vault.random_source import RANDOM
from projections.vault.vault import Vault

ROTATION_OVERLAP: Final = timedelta(hours=24)
"""How long the former secret stays valid after a rotation."""


class SecretRow(NamedTuple):
    """Creation and end of a valid secret; `ends_at` is None until the next rotation."""

    created_at: datetime
    ends_at: datetime | None


class WebhookSecretRepository:
    """Reads and writes the table `webhook_secrets`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def list_valid_texts(self, owner_id: UUID, now: datetime) -> tuple[str, ...]:
        """Return the texts of valid secrets, the newest first."""
        rows = self._db.fetch_named(RepositoriesSql.valid_secrets, owner_id=owner_id, now=now)
        return decrypt_secrets(self._storage.vault, ((row[0], row[3], row[4]) for row in rows))

    def list_valid(self, owner_id: UUID, now: datetime) -> list[SecretRow]:
        """Return valid secrets without their texts."""
        return [
            SecretRow(row[1], row[2])
            for row in self._db.fetch_named(RepositoriesSql.valid_secrets, owner_id=owner_id, now=now)
        ]

    def rotate(self, owner_id: UUID, text_id: UUID, now: datetime) -> str:
        """Insert a new secret and let the former one end; return its text, which is shown this once."""
        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            return rotate_secret(cursor, self._storage.vault, owner_id, text_id, now)


def rotate_secret(cursor: Cursor[Any], vault: Vault, owner_id: UUID, text_id: UUID, now: datetime) -> str:
    """Rotate a secret as `WebhookSecretRepository.rotate` does, within the caller's transaction."""
    secret = secret_text(RANDOM.draw_bytes(SECRET_BYTES))
    sealed = vault.seal("text", text_id, secret)
    cursor.execute(RepositoriesSql.lock_secrets, (owner_id,))
    cursor.execute(RepositoriesSql.end_secrets, {"owner_id": owner_id, "ends_at": now + ROTATION_OVERLAP})
    parameters = {
        "text_id": text_id,
        "sealed": sealed.sealed,
        "key_id": sealed.key_id,
        "owner_id": owner_id,
        "now": now,
    }
    cursor.execute(RepositoriesSql.insert_secret, parameters)
    return secret


def decrypt_secrets(vault: Vault, rows: Iterable[tuple[UUID, Any, int]]) -> tuple[str, ...]:
    """Decrypt texts of secrets by (id, encrypted text, key)."""
    return tuple(vault.open_text(text_id, bytes(sealed), key_id) for text_id, sealed, key_id in rows)


def delete_expired(storage: LedgerStore, now: datetime) -> int:
    """Delete secrets that have ended; return how many."""
    return _drop(storage, RepositoriesSql.drop_ended_secrets, now)


def _drop(storage: LedgerStore, query: LiteralString, value: object) -> int:
    pool = storage.datastore
    with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        ids = [row[0] for row in cursor.execute(query, (value,)).fetchall()]
        if ids:
            assume_eraser_role(conn)
            cursor.execute(PrivacySql.delete_texts, (ids,))
        return len(ids)
