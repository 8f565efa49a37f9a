"""API keys of integrators: generated once, shown once, stored as digests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from projections.database.roles import assume_eraser_role, assume_runtime_role
from projections.database.store_queries import Database, ReadableStore
from projections.read_models.pagination import ListCursor, ListOrder
from projections.sql.repositories import RepositoriesSql
from projections.vault.vault import PrivateText


class ApiKeyRow(NamedTuple):
    """One key. `name` is None unless an admin created it; `scopes` is None if it has a role."""

    key_id: UUID
    role: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    name: str | None


class ApiKeyRepository:
    """Reads and writes the table `api_keys`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def insert(
        self,
        key_id: UUID,
        digest: bytes,
        role: str,
        name: PrivateText,
        now: datetime,
        *,
        expires_at: datetime | None,
        staff_id: UUID | None,
        scopes: Sequence[str] | None = None,
    ) -> bool:
        """Insert a key; return False if it exists already. Its role is `scoped` if it has scopes."""
        parameters: dict[str, Any] = {
            "key_id": key_id,
            "digest": digest,
            "role": role,
            "now": now,
            "expires_at": expires_at,
        }
        parameters["scopes"] = None if scopes is None else list(scopes)
        name_text = {"text_id": name.text_id, "sealed": name.content.sealed, "seal_key": name.content.key_id}
        parameters |= {"text_id": name.text_id, "staff_id": staff_id}
        with self._db.open_transaction() as cursor:
            cursor.execute(RepositoriesSql.insert_key_name, name_text)
            assume_eraser_role(cursor.connection)
            inserted = cursor.execute(RepositoriesSql.insert_named_key, parameters).fetchall()
            assume_runtime_role(cursor.connection)
        return bool(inserted)

    def revoke(self, key_id: UUID, now: datetime) -> bool:
        """Revoke a key; return False if it does not exist or was revoked before."""
        with self._db.open_transaction() as cursor:
            assume_eraser_role(cursor.connection)
            is_done = bool(cursor.execute(RepositoriesSql.revoke_key, (now, key_id)).fetchall())
            assume_runtime_role(cursor.connection)
        return is_done

    def find_beyond(self, staff_id: UUID, roles: Sequence[str], scopes: Sequence[str], now: datetime) -> list[UUID]:
        """Return the valid keys that an account created and that open more than these roles and scopes."""
        parameters = {"staff_id": staff_id, "roles": list(roles), "scopes": list(scopes), "now": now}
        with self._db.open_cursor() as cursor:
            return [row[0] for row in cursor.execute(RepositoriesSql.keys_beyond_rights, parameters).fetchall()]

    def list_page(self, place: ListCursor, limit: int, order: ListOrder = "newest") -> list[ApiKeyRow]:
        """Return keys behind a place, by the time of their creation."""
        statements = {"newest": RepositoriesSql.newest_keys, "oldest": RepositoriesSql.oldest_keys}
        return [self._read(row) for row in self._db.fetch_all(statements[order], *place, limit)]

    def find(self, key_id: UUID) -> ApiKeyRow | None:
        """Return a key; None if there is no such key."""
        rows = self._db.fetch_all(RepositoriesSql.keys_of_ids, [key_id])
        return self._read(rows[0]) if rows else None

    def find_names(self, key_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return the names of those of these keys that have one."""
        rows = self._db.fetch_all(RepositoriesSql.keys_of_ids, list(key_ids)) if key_ids else []
        return {key.key_id: key.name for key in map(self._read, rows) if key.name is not None}

    def _read(self, row: tuple[Any, ...]) -> ApiKeyRow:
        key_id, role, scopes, created_at, expires_at, revoked_at, text_id, sealed, seal_key = row
        name = None if sealed is None else self._storage.vault.open_text(text_id, bytes(sealed), seal_key)
        return ApiKeyRow(key_id, role, scopes, created_at, expires_at, revoked_at, name)
