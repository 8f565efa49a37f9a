"""Channels of groups: which group has one of which kind, its settings, and the callbacks that came by it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from projections.database.store_queries import Database, ReadableStore
from projections.repositories.channel_form import DEFAULT_CHANNEL, ChannelForm
from projections.repositories.webhook_secrets import decrypt_secrets, rotate_secret
from projections.sql.repositories import RepositoriesSql

CallbackRefusal = Literal["malformed", "forged", "stale", "replayed", "foreign", "refused"]
"""Why a callback is refused: it is malformed; its signature is not of the channel's secrets; its time is too far from
ours; it was accepted before; the reservation is not of the channel's group; a rule of the ledger refuses it."""


class ChannelConfig(NamedTuple):
    """What a channel of a group is opened with: its kind, its settings and its valid secrets, the newest first."""

    channel_id: UUID
    kind: str
    settings: Mapping[str, str]
    secrets: tuple[str, ...]


class ChannelRow(NamedTuple):
    """A group that has or had a channel. `kind` is that of the group now: `DEFAULT_CHANNEL` if the channel is off."""

    channel_id: UUID
    group: str
    kind: str
    settings: Mapping[str, str]

    @property
    def is_on(self) -> bool:
        """Whether the group's messages go out by it now."""
        return self.kind != DEFAULT_CHANNEL


class RejectedCallbackCount(NamedTuple):
    """How many callbacks were rejected for one reason."""

    reason: CallbackRefusal
    requests: int
    last_at: datetime


def stored_settings(url: str | None, others: Mapping[str, str]) -> dict[str, str]:
    """Join the settings of a channel: `url` has a column, which processes of version 0.1 read and write too."""
    return {**({"url": url} if url is not None else {}), **others}


class GroupChannelRepository:
    """Reads and writes the channel columns of `invite_groups`, and the tables of callbacks."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def find_config(self, group: str, now: datetime) -> ChannelConfig | None:
        """Return what a group's channel is opened with; None if the group has none."""
        rows = self._db.fetch_named(RepositoriesSql.channel_of_group, group=group, now=now)
        if not rows:
            return None
        kind, channel_id, url, others = rows[0][:4]
        sealed_secrets: list[tuple[UUID, Any, int]] = [row[4:] for row in rows if row[4] is not None]
        return ChannelConfig(
            channel_id, kind, stored_settings(url, others), decrypt_secrets(self._storage.vault, sealed_secrets)
        )

    def list_kinds_by_group(self) -> dict[str, str]:
        """Return the kind of channel of each group that has one."""
        return dict(self._db.fetch_all(RepositoriesSql.groups_with_channels))

    def find_groups_of_reservations(self, reservation_ids: Sequence[UUID], groups: Collection[str]) -> dict[UUID, str]:
        """Return which of these reservations are of which of these groups, as far as their codes tell."""
        return dict(self._db.fetch_all(RepositoriesSql.groups_of_reservations, list(reservation_ids), sorted(groups)))

    def enable(
        self, group: str, kind: ChannelForm, settings: Mapping[str, str], ids: tuple[UUID, UUID], now: datetime
    ) -> tuple[UUID, str | None]:
        """Send a group's messages by a channel from now on.

        Args:
            group: Its name.
            kind: The kind of channel.
            settings: Those that the kind has accepted.
            ids: New and random: that of the channel, if the group never had one, and that of its first secret.
            now: Database time.

        Returns:
            The channel's id, and its secret if it is new: it is shown once.
        """
        new_channel_id, text_id = ids
        others = {name: value for name, value in settings.items() if name != "url"}
        row = {"group": group, "kind": kind.name, "url": settings.get("url"), "settings": Jsonb(others)}
        pool = self._storage.datastore
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(RepositoriesSql.set_channel_of_group, {**row, "channel_id": new_channel_id, "now": now})
            channel_id: UUID = cursor.fetchall()[0][0]
            valid = cursor.execute(RepositoriesSql.valid_secrets, {"owner_id": channel_id, "now": now}).fetchone()
            if valid is not None or not kind.is_signed:
                return channel_id, None
            return channel_id, rotate_secret(cursor, self._storage.vault, channel_id, text_id, now)

    def disable(self, group: str, now: datetime) -> bool:
        """Mail a group's messages again; False if they are mailed already."""
        return bool(self._db.fetch_all(RepositoriesSql.unset_channel_of_group, now, group))

    def find(self, channel_id: UUID) -> ChannelRow | None:
        """Return a channel by its id."""
        rows = self._db.fetch_all(RepositoriesSql.channel_of_id, channel_id)
        return _channel_row(rows[0]) if rows else None

    def list_page(self, after: str, limit: int) -> list[ChannelRow]:
        """List channels by the name of their group, from a name on."""
        return [_channel_row(row) for row in self._db.fetch_all(RepositoriesSql.list_channels, after, limit)]

    def insert_callback(self, channel_id: UUID, webhook_id: str, signed_at: datetime, body_digest: bytes) -> bool:
        """Record that a callback is accepted; False for a replay: what is sent again must be signed again."""
        return bool(self._db.fetch_all(RepositoriesSql.take_callback, channel_id, webhook_id, signed_at, body_digest))

    def insert_rejected_callback(
        self, channel_id: UUID, reason: CallbackRefusal, now: datetime, request_id: str | None
    ) -> None:
        """Record that a callback was refused."""
        row = {"channel_id": channel_id, "reason": reason, "now": now, "request_id": request_id}
        self._db.execute(RepositoriesSql.refuse_callback, row)

    def count_rejected_callbacks(self, channel_id: UUID, since: datetime) -> list[RejectedCallbackCount]:
        """Count the callbacks that were refused since a time, by reason."""
        return [
            RejectedCallbackCount(*row)
            for row in self._db.fetch_all(RepositoriesSql.refused_callbacks, channel_id, since)
        ]


def _channel_row(row: tuple[Any, ...]) -> ChannelRow:
    channel_id, group, kind, url, others = row
    return ChannelRow(channel_id, group, kind, stored_settings(url, others))
