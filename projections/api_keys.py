"""Keys of integrators: made once, shown once, kept as digests."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from projections.reading import Reader
from projections.sql import QUERIES
from projections.vault import PrivateText


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
        named = {"key_id": key_id, "digest": digest, "role": role, "now": now, "expires_at": expires_at}
        named["scopes"] = None if scopes is None else list(scopes)
        sealed = {"text_id": name.text_id, "sealed": name.content.sealed, "seal_key": name.content.key_id}
        with self._cursor() as cursor:
            found = cursor.execute(QUERIES["insert_named_key"], {**named, **sealed, "staff_id": staff_id}).fetchall()
        return bool(found)

    def revoke(self, key_id: UUID, now: datetime) -> bool:
        """From now on it opens nothing; False if there is no such key or it was so before."""
        return bool(self._all("revoke_key", now, key_id))

    def page(self, before: tuple[datetime, UUID], limit: int) -> list[KeyLine]:
        """Keys, newest first, from a time and id down."""
        vault = self._storage.vault
        found = []
        for row in self._all("list_keys", *before, limit):
            key_id, role, scopes, created_at, expires_at, revoked_at, text_id, sealed, seal_key = row
            name = None if sealed is None else vault.open_text(text_id, bytes(sealed), seal_key)
            found.append(KeyLine(key_id, role, scopes, created_at, expires_at, revoked_at, name))
        return found
