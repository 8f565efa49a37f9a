"""Keys of integrators: made once, shown once, kept as digests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from projections.database.roles import assume_eraser_role, assume_runtime_role
from projections.read_models.reader import Reader
from projections.sql.repositories import RepositoriesSql
from projections.vault.vault import PrivateText


class ApiKeyRow(NamedTuple):
    """One key. `name` is None of keys that were not made by hand, `scopes` of those that have a role."""

    key_id: UUID
    role: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    name: str | None


class ApiKeyRepository(Reader):
    """Reads and writes the table `api_keys`."""

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
        """Enter a key; False if this one was entered before. Its role is `scoped` if it has scopes."""
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
        with self._open_cursor() as cursor, cursor.connection.transaction():
            cursor.execute(RepositoriesSql.insert_key_name, name_text)
            assume_eraser_role(cursor.connection)
            inserted = cursor.execute(RepositoriesSql.insert_named_key, parameters).fetchall()
            assume_runtime_role(cursor.connection)
        return bool(inserted)

    def revoke(self, key_id: UUID, now: datetime) -> bool:
        """From now on it opens nothing; False if there is no such key or it was so before."""
        with self._open_cursor() as cursor, cursor.connection.transaction():
            assume_eraser_role(cursor.connection)
            is_done = bool(cursor.execute(RepositoriesSql.revoke_key, (now, key_id)).fetchall())
            assume_runtime_role(cursor.connection)
        return is_done

    def list_page(self, before: tuple[datetime, UUID], limit: int) -> list[ApiKeyRow]:
        """Keys, newest first, from a time and id down."""
        vault = self._storage.vault
        keys = []
        for row in self._fetch_all(RepositoriesSql.list_keys, *before, limit):
            key_id, role, scopes, created_at, expires_at, revoked_at, text_id, sealed, seal_key = row
            name = None if sealed is None else vault.open_text(text_id, bytes(sealed), seal_key)
            keys.append(ApiKeyRow(key_id, role, scopes, created_at, expires_at, revoked_at, name))
        return keys
