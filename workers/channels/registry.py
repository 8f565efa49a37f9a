"""Which ways invitations go: the usual channel of the settings, and those of groups that have their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from domain.commands.delivery.claim_attempt import NO_GROUPS
from domain.ports import Channel
from projections.config.settings import LedgerSettings
from projections.repositories.group_channels import GroupChannelRepository
from projections.storage.bootstrap import LedgerStore
from workers.channels import open_channel
from workers.channels.instrumented import InstrumentedChannel
from workers.channels.smtp.connection_pool import ConnectionPool
from workers.channels.webhook import WebhookChannel, WebhookTarget
from workers.http_client.client import PinnedHttpClient


class ChannelPlan(NamedTuple):
    """Which groups have a channel of their own, and which reservations are of one of them."""

    by_group: Mapping[str, str] = NO_GROUPS
    groups: Mapping[UUID, str] = MappingProxyType({})


def default_channel(settings: LedgerSettings, connections: ConnectionPool | None = None) -> Channel:
    """The channel that the settings name: for every group that has none of its own.

    Args:
        settings: The mail server and its timeout.
        connections: Those to that server that it shares with other threads.
    """
    return InstrumentedChannel(
        open_channel(
            settings.smtp_url.get_secret_value(),
            mail_from=settings.mail_from,
            timeout_s=settings.smtp_timeout_s,
            connections=connections,
        )
    )


@dataclass(frozen=True, slots=True)
class GroupChannels:
    """Channels of groups that have their own."""

    channels: GroupChannelRepository
    poster: PinnedHttpClient
    public_url: str
    now: Callable[[], datetime]

    @classmethod
    def over(cls, settings: LedgerSettings, storage: LedgerStore) -> "GroupChannels":
        """Those that the database names."""
        poster = PinnedHttpClient(settings.webhook_networks, settings.webhook_timeout_s)
        return cls(GroupChannelRepository(storage), poster, settings.public_url.rstrip("/"), storage.recorder.clock.now)

    def of_group(self, group: str) -> Channel | None:
        """A group's own channel; None if it has none.

        Raises:
            StorageUnavailableError: The database is away.
        """
        found = self.channels.find_config(group, self.now())
        if found is None:
            return None
        callbacks = f"{self.public_url}/api/v1/channels/{found.channel_id}/callbacks"
        way = WebhookTarget(url=found.url, secrets=found.secrets, callbacks=callbacks)
        return InstrumentedChannel(WebhookChannel(way, self.poster, self.now), "webhook_error")

    def plan(self, reservation_ids: Sequence[UUID]) -> ChannelPlan:
        """Who of these goes by such a channel.

        Raises:
            StorageUnavailableError: The database is away.
        """
        groups = self.channels.list_groups()
        if not groups:
            return ChannelPlan()
        by_group = dict.fromkeys(groups, WebhookChannel.name)
        return ChannelPlan(by_group, self.channels.find_groups_of_reservations(reservation_ids, groups))
