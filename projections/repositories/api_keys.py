"""Keys of integrators: made once, shown once, kept as digests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from projections.database.roles import assume_eraser_role, become_running_role
from projections.read_models.reader import Reader
from projections.sql.repositories import RepositoriesSql
from projections.vault.vault import PrivateText


class KeyLine(NamedTuple):
    """One key. `name` is None of keys that were not made by hand, `scopes` of those that have a role."""

    key_id: UUID
    role: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    name: str | None


class ApiKeys(Reader):
    """Reads and writes the table `api_keys`."""

    def add(
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
        named: dict[str, Any] = {"key_id": key_id, "digest": digest, "role": role, "now": now, "expires_at": expires_at}
        named["scopes"] = None if scopes is None else list(scopes)
        sealed = {"text_id": name.text_id, "sealed": name.content.sealed, "seal_key": name.content.key_id}
        named |= {"text_id": name.text_id, "staff_id": staff_id}
        with self._cursor() as cursor, cursor.connection.transaction():
            cursor.execute(RepositoriesSql.insert_key_name, sealed)
            assume_eraser_role(cursor.connection)
            found = cursor.execute(RepositoriesSql.insert_named_key, named).fetchall()
            become_running_role(cursor.connection)
        return bool(found)

    def revoke(self, key_id: UUID, now: datetime) -> bool:
        """From now on it opens nothing; False if there is no such key or it was so before."""
        with self._cursor() as cursor, cursor.connection.transaction():
            assume_eraser_role(cursor.connection)
            is_done = bool(cursor.execute(RepositoriesSql.revoke_key, (now, key_id)).fetchall())
            become_running_role(cursor.connection)
        return is_done

    def page(self, before: tuple[datetime, UUID], limit: int) -> list[KeyLine]:
        """Keys, newest first, from a time and id down."""
        vault = self._storage.vault
        found = []
        for row in self._all(RepositoriesSql.list_keys, *before, limit):
            key_id, role, scopes, created_at, expires_at, revoked_at, text_id, sealed, seal_key = row
            name = None if sealed is None else vault.open_text(text_id, bytes(sealed), seal_key)
            found.append(KeyLine(key_id, role, scopes, created_at, expires_at, revoked_at, name))
        return found
