"""API keys of integrators: generated once, shown once, stored as digests."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import tuple_row

from projections.database.roles import assume_eraser_role, assume_runtime_role
from projections.database.store_queries import Database, ReadableStore
from projections.read_models.pagination import ListCursor, ListOrder
from projections.sql.monitoring import MonitoringSql
from projections.sql.repositories import RepositoriesSql
from projections.vault.vault import PrivateText

USE_RECORDED_EVERY: Final = timedelta(minutes=5)
"""How old the recorded use of a key is at most, while it is used."""
REFUSAL_RECORDED_EVERY: Final = timedelta(hours=1)
"""How often requests with one key from networks that are not allowed get an entry in the audit log, at most."""
ENDS_SOON: Final = timedelta(days=14)
"""How long before its end a key is shown as ending."""
STILL_USED_WITHIN: Final = timedelta(days=1)
"""How recent the last use of a replaced key is, at least, if it is still used."""
UNUSED_AFTER: Final = timedelta(days=90)
"""How long a key is not used before its page says so."""


class NewApiKey(NamedTuple):
    """A key to insert. Its role is `scoped` if it has scopes.

    Attributes:
        networks: Networks that it may be used from; None for any.
        replaces_id: The key that it replaces.
    """

    key_id: UUID
    digest: bytes
    role: str
    scopes: Sequence[str] | None
    expires_at: datetime | None
    networks: Sequence[str] | None = None
    replaces_id: UUID | None = None


class ApiKeyRow(NamedTuple):
    """One key.

    Attributes:
        scopes: None if it has a role.
        networks: Networks that it may be used from; None for any.
        replaces_id: The key that it replaces.
        replaced_by: The key that replaces it.
        used_at: The last use, to within `USE_RECORDED_EVERY`.
        used_from: The network of that use, without the last part of the address.
        refused_at: The last request from a network that is not allowed, to within `REFUSAL_RECORDED_EVERY`.
        refused_from: The network of that request.
        staff_id: The member of staff who created it, if one did.
        name: None unless an admin created it.
    """

    key_id: UUID
    role: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    networks: list[str] | None
    replaces_id: UUID | None
    replaced_by: UUID | None
    used_at: datetime | None
    used_from: str | None
    refused_at: datetime | None
    refused_from: str | None
    staff_id: UUID | None
    name: str | None

    def is_valid(self, now: datetime) -> bool:
        """Return whether requests with it are accepted."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def is_ending(self, now: datetime) -> bool:
        """Return whether it is valid, and ends within `ENDS_SOON`."""
        return self.is_valid(now) and self.expires_at is not None and self.expires_at - now <= ENDS_SOON

    def is_unused(self, now: datetime) -> bool:
        """Return whether it is valid, and was not used for `UNUSED_AFTER`."""
        return self.is_valid(now) and now - (self.used_at or self.created_at) >= UNUSED_AFTER


def is_record_due(recorded_at: datetime | None, every: timedelta, now: datetime) -> bool:
    """Return whether a use or a refusal is recorded again; a recorded time in the future is a former clock's."""
    return recorded_at is None or not now - every < recorded_at <= now


def find_ending_keys(conn: Connection[Any]) -> tuple[int, datetime | None]:
    """Return how many keys end within `ENDS_SOON` and are still needed, and when the first of them ends.

    A replaced key is needed as long as it is used: what uses it stops working at its end.
    """
    parameters = {"soon": ENDS_SOON, "recently": STILL_USED_WITHIN}
    with conn.cursor(row_factory=tuple_row) as cursor:
        count, first = cursor.execute(MonitoringSql.ending_keys, parameters).fetchall()[0]
    return count, first


class ApiKeyRepository:
    """Reads and writes the tables `api_keys` and `api_key_uses`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def insert(self, key: NewApiKey, name: PrivateText, now: datetime, staff_id: UUID | None) -> bool:
        """Insert a key that an account created, or an operator; return False if it exists already."""
        name_text = {"text_id": name.text_id, "sealed": name.content.sealed, "seal_key": name.content.key_id}
        parameters = {**key._asdict(), "now": now, "text_id": name.text_id, "staff_id": staff_id}
        for column in ("scopes", "networks"):
            parameters[column] = None if parameters[column] is None else list(parameters[column])
        with self._db.open_transaction() as cursor:
            cursor.execute(RepositoriesSql.insert_key_name, name_text)
            assume_eraser_role(cursor.connection)
            inserted = cursor.execute(RepositoriesSql.insert_named_key, parameters).fetchall()
            assume_runtime_role(cursor.connection)
        return bool(inserted)

    def revoke(self, key_id: UUID, now: datetime) -> bool:
        """Revoke a key; return False if it does not exist or was revoked before."""
        return bool(self._change(RepositoriesSql.revoke_key, now, key_id))

    def lock(self, key_id: UUID) -> None:
        """Lock a key until the transaction ends, so that it is not replaced or changed twice at the same time."""
        self._change(RepositoriesSql.lock_key, key_id)

    def end(self, key_id: UUID, at: datetime) -> None:
        """Let a key end at a time, unless it ends before."""
        self._change(RepositoriesSql.end_key, at, key_id)

    def set_networks(self, key_id: UUID, networks: Sequence[str] | None) -> None:
        """Set the networks that a key may be used from; None for any."""
        self._change(RepositoriesSql.set_key_networks, None if networks is None else list(networks), key_id)

    def record_use(self, key_id: UUID, network: str | None, now: datetime) -> None:
        """Record the use of a key, if the recorded one is older than `USE_RECORDED_EVERY`."""
        parameters = {"key_id": key_id, "network": network, "now": now, "every": USE_RECORDED_EVERY}
        self._db.execute(RepositoriesSql.record_key_use, parameters)

    def record_refusal(self, key_id: UUID, network: str | None, now: datetime) -> bool:
        """Record a request from a network that is not allowed; False if one was recorded less than an hour ago."""
        parameters = {"key_id": key_id, "network": network, "now": now, "every": REFUSAL_RECORDED_EVERY}
        with self._db.open_transaction() as cursor:
            return bool(cursor.execute(RepositoriesSql.record_key_refusal, parameters).fetchall())

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

    def _change(self, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """Execute a statement that only the eraser role may; return its rows."""
        with self._db.open_transaction() as cursor:
            assume_eraser_role(cursor.connection)
            cursor.execute(statement, parameters)
            rows = cursor.fetchall() if cursor.description else []
            assume_runtime_role(cursor.connection)
        return rows

    def _read(self, row: tuple[Any, ...]) -> ApiKeyRow:
        *columns, text_id, sealed, seal_key = row
        name = None if sealed is None else self._storage.vault.open_text(text_id, bytes(sealed), seal_key)
        return ApiKeyRow._make((*columns, name))
