"""Webhook channels: which groups have one, where it leads, and the callbacks that came back by it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from psycopg.rows import tuple_row

from projections.read_models.reader import Reader
from projections.repositories.webhook_secrets import opened, renewed
from projections.sql.repositories import RepositoriesSql

CallbackRefusal = Literal["malformed", "forged", "stale", "replayed", "foreign", "refused"]
"""Why a callback is not taken: what it says is no callback; its signature is not of the channel's secrets; its time is
too far from ours; it was taken before; the reservation is not of the channel's group; the ledger's rules say no."""


class ChannelWay(NamedTuple):
    """Where a group's invitations are posted, and the secrets that they are signed with, the newest first."""

    channel_id: UUID
    url: str
    secrets: tuple[str, ...]


class ChannelLine(NamedTuple):
    """A group that has or had a channel of its own. `is_on`: its invitations go there now."""

    channel_id: UUID
    group: str
    is_on: bool
    url: str


class RefusedCallbacks(NamedTuple):
    """How many callbacks were refused for one reason."""

    reason: CallbackRefusal
    tries: int
    last_at: datetime


class Channels(Reader):
    """Reads and writes what `invite_groups` says of channels, and the tables of callbacks."""

    def of_group(self, group: str, now: datetime) -> ChannelWay | None:
        """Where a group's invitations are posted; None if they go by mail."""
        with self._cursor() as cursor:
            rows = cursor.execute(RepositoriesSql.channel_of_group, {"group": group, "now": now}).fetchall()
        if not rows:
            return None
        return ChannelWay(rows[0][0], rows[0][1], opened(self._storage.vault, (row[2:] for row in rows)))

    def groups(self) -> frozenset[str]:
        """Names of the groups whose invitations are posted."""
        return frozenset(row[0] for row in self._all(RepositoriesSql.groups_with_channels))

    def groups_of(self, reservation_ids: Sequence[UUID], groups: Collection[str]) -> dict[UUID, str]:
        """Which of these reservations are of which of these groups, as far as their codes tell."""
        return dict(self._all(RepositoriesSql.groups_of_reservations, list(reservation_ids), sorted(groups)))

    def turn_on(self, group: str, url: str, channel_id: UUID, text_id: UUID, now: datetime) -> tuple[UUID, str | None]:
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
            found: UUID = cursor.execute(RepositoriesSql.set_channel_of_group, row).fetchall()[0][0]
            known = cursor.execute(RepositoriesSql.valid_secrets, {"owner_id": found, "now": now}).fetchone()
            return found, None if known else renewed(cursor, self._storage.vault, found, text_id, now)

    def turn_off(self, group: str, now: datetime) -> bool:
        """Mail a group's invitations again; False if they are mailed."""
        return bool(self._all(RepositoriesSql.unset_channel_of_group, now, group))

    def find(self, channel_id: UUID) -> ChannelLine | None:
        """A channel by its id."""
        rows = self._all(RepositoriesSql.channel_of_id, channel_id)
        return ChannelLine(channel_id, rows[0][0], rows[0][1] == "webhook", rows[0][2]) if rows else None

    def page(self, after: str, limit: int) -> list[ChannelLine]:
        """Channels by the name of their group, from a name on."""
        return [
            ChannelLine(row[0], row[1], row[2] == "webhook", row[3])
            for row in self._all(RepositoriesSql.list_channels, after, limit)
        ]

    def take(self, channel_id: UUID, webhook_id: str, signed_at: datetime, body_digest: bytes) -> bool:
        """Note that a callback is taken; False if it was before: what is sent again has to be signed anew."""
        return bool(self._all(RepositoriesSql.take_callback, channel_id, webhook_id, signed_at, body_digest))

    def refuse(self, channel_id: UUID, reason: CallbackRefusal, now: datetime, request_id: str | None) -> None:
        """Note that a callback was refused."""
        row = {"channel_id": channel_id, "reason": reason, "now": now, "request_id": request_id}
        with self._cursor() as cursor:
            cursor.execute(RepositoriesSql.refuse_callback, row)

    def refused(self, channel_id: UUID, since: datetime) -> list[RefusedCallbacks]:
        """What was refused since a moment, by reason."""
        return [RefusedCallbacks(*row) for row in self._all(RepositoriesSql.refused_callbacks, channel_id, since)]
