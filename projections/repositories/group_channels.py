"""Webhook channels: which groups have one, where it leads, and the callbacks that came back by it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from projections.read_models.reader import Reader
from projections.repositories.webhook_secrets import decrypt_secrets, rotate_secret
from projections.sql.repositories import RepositoriesSql

CallbackRefusal = Literal["malformed", "forged", "stale", "replayed", "foreign", "refused"]
"""Why a callback is not taken: what it says is no callback; its signature is not of the channel's secrets; its time is
too far from ours; it was taken before; the reservation is not of the channel's group; the ledger's rules say no."""


class ChannelConfig(NamedTuple):
    """Where a group's invitations are posted, and the secrets that they are signed with, the newest first."""

    channel_id: UUID
    url: str
    secrets: tuple[str, ...]


class ChannelRow(NamedTuple):
    """A group that has or had a channel of its own. `is_on`: its invitations go there now."""

    channel_id: UUID
    group: str
    is_on: bool
    url: str


class RejectedCallbackCount(NamedTuple):
    """How many callbacks were refused for one reason."""

    reason: CallbackRefusal
    requests: int
    last_at: datetime


class GroupChannelRepository(Reader):
    """Reads and writes what `invite_groups` says of channels, and the tables of callbacks."""

    def find_config(self, group: str, now: datetime) -> ChannelConfig | None:
        """Where a group's invitations are posted; None if they go by mail."""
        with self._open_cursor() as cursor:
            rows = cursor.execute(RepositoriesSql.channel_of_group, {"group": group, "now": now}).fetchall()
        if not rows:
            return None
        return ChannelConfig(rows[0][0], rows[0][1], decrypt_secrets(self._storage.vault, (row[2:] for row in rows)))

    def list_groups(self) -> frozenset[str]:
        """Names of the groups whose invitations are posted."""
        return frozenset(row[0] for row in self._fetch_all(RepositoriesSql.groups_with_channels))

    def find_groups_of_reservations(self, reservation_ids: Sequence[UUID], groups: Collection[str]) -> dict[UUID, str]:
        """Which of these reservations are of which of these groups, as far as their codes tell."""
        return dict(self._fetch_all(RepositoriesSql.groups_of_reservations, list(reservation_ids), sorted(groups)))

    def enable(self, group: str, url: str, channel_id: UUID, text_id: UUID, now: datetime) -> tuple[UUID, str | None]:
        """Post a group's invitations from now on.

        Args:
            group: Its name.
            url: A target that was looked at.
            channel_id: New and random; used if the group never had a channel.
            text_id: New and random; names the first secret.
            now: Database time.

        Returns:
            The channel's id, and the secret to be shown this once; None if it had one before.
        """
        pool, row = self._storage.datastore, {"group": group, "url": url, "channel_id": channel_id, "now": now}
        with pool.get_connection() as conn, conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
            owner_id: UUID = cursor.execute(RepositoriesSql.set_channel_of_group, row).fetchall()[0][0]
            has_secret = cursor.execute(RepositoriesSql.valid_secrets, {"owner_id": owner_id, "now": now}).fetchone()
            return owner_id, None if has_secret else rotate_secret(cursor, self._storage.vault, owner_id, text_id, now)

    def disable(self, group: str, now: datetime) -> bool:
        """Mail a group's invitations again; False if they are mailed."""
        return bool(self._fetch_all(RepositoriesSql.unset_channel_of_group, now, group))

    def find(self, channel_id: UUID) -> ChannelRow | None:
        """A channel by its id."""
        rows = self._fetch_all(RepositoriesSql.channel_of_id, channel_id)
        return ChannelRow(channel_id, rows[0][0], rows[0][1] == "webhook", rows[0][2]) if rows else None

    def list_page(self, after: str, limit: int) -> list[ChannelRow]:
        """Channels by the name of their group, from a name on."""
        return [
            ChannelRow(row[0], row[1], row[2] == "webhook", row[3])
            for row in self._fetch_all(RepositoriesSql.list_channels, after, limit)
        ]

    def insert_callback(self, channel_id: UUID, webhook_id: str, signed_at: datetime, body_digest: bytes) -> bool:
        """Note that a callback is taken; False if it was before: what is sent again has to be signed anew."""
        return bool(self._fetch_all(RepositoriesSql.take_callback, channel_id, webhook_id, signed_at, body_digest))

    def insert_rejected_callback(
        self, channel_id: UUID, reason: CallbackRefusal, now: datetime, request_id: str | None
    ) -> None:
        """Note that a callback was refused."""
        row = {"channel_id": channel_id, "reason": reason, "now": now, "request_id": request_id}
        with self._open_cursor() as cursor:
            cursor.execute(RepositoriesSql.refuse_callback, row)

    def count_rejected_callbacks(self, channel_id: UUID, since: datetime) -> list[RejectedCallbackCount]:
        """What was refused since a moment, by reason."""
        return [
            RejectedCallbackCount(*row) for row in self._fetch_all(RepositoriesSql.refused_callbacks, channel_id, since)
        ]
