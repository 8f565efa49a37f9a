"""The kinds of channels, and which groups have one.

A kind is a module in `workers.channels.kinds` with a constant `KIND`: its name, its settings with their form fields,
and how to open a channel of it. Nothing else has to name it but the catalogs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from domain.commands.delivery.claim_attempt import NO_GROUPS
from domain.ports import Channel
from projections.config.settings import LedgerSettings
from projections.repositories.channel_form import ChannelForm
from projections.repositories.group_channels import ChannelConfig, GroupChannelRepository
from projections.storage.bootstrap import LedgerStore
from workers.channels import kinds
from workers.channels.group_router import InstrumentedChannel, UnknownChannelKindError
from workers.http_client.client import PinnedHttpClient


class ChannelTools(NamedTuple):
    """What channels send with.

    Attributes:
        http: Posts to external systems.
        now: Database time.
        callbacks: Absolute URL that the channel's external system sends its callbacks to.
    """

    http: PinnedHttpClient
    now: Callable[[], datetime]
    callbacks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelKind(ChannelForm):
    """A kind of channel.

    Attributes:
        open: Makes a channel for one thread. The settings are those that the form accepted.
    """

    open: Callable[[ChannelConfig, ChannelTools], Channel]


@cache
def channel_kinds() -> Mapping[str, ChannelKind]:
    """Return all kinds by name, in the order of their modules.

    Raises:
        TypeError: A module in `kinds` does not declare a kind, or two have one name.
    """
    by_name: dict[str, ChannelKind] = {}
    for module in iter_modules(kinds.__path__, f"{kinds.__name__}."):
        kind = getattr(import_module(module.name), "KIND", None)
        if not isinstance(kind, ChannelKind) or kind.name in by_name:
            raise TypeError(f"{module.name} must declare KIND, a ChannelKind with a unique name")
        by_name[kind.name] = kind
    return MappingProxyType(by_name)


class ChannelPlan(NamedTuple):
    """The kinds of channels by group, and the groups of those reservations that go out by one."""

    by_group: Mapping[str, str] = NO_GROUPS
    groups: Mapping[UUID, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class GroupChannels:
    """Opens the channels of groups."""

    repository: GroupChannelRepository
    http: PinnedHttpClient
    public_url: str
    now: Callable[[], datetime]

    @classmethod
    def create(cls, settings: LedgerSettings, storage: LedgerStore) -> "GroupChannels":
        """Make it for the groups in a database."""
        http = PinnedHttpClient(settings.webhook_networks, settings.webhook_timeout_s)
        public_url = settings.public_url.rstrip("/")
        return cls(GroupChannelRepository(storage), http, public_url, storage.recorder.clock.now)

    def for_group(self, group: str) -> Channel | None:
        """Open a group's channel; None if the group has none.

        Raises:
            StorageUnavailableError: The database is unavailable.
            UnknownChannelKindError: A newer version of the ledger set the channel.
        """
        config = self.repository.find_config(group, self.now())
        if config is None:
            return None
        kind = channel_kinds().get(config.kind)
        if kind is None:
            raise UnknownChannelKindError(config.kind)
        callbacks = f"{self.public_url}/api/v1/channels/{config.channel_id}/callbacks"
        return InstrumentedChannel(kind.open(config, ChannelTools(self.http, self.now, callbacks)), "webhook_error")

    def plan(self, reservation_ids: Sequence[UUID]) -> ChannelPlan:
        """Return which of these reservations go out by which group's channel.

        Raises:
            StorageUnavailableError: The database is unavailable.
        """
        by_group = self.repository.list_kinds_by_group()
        if not by_group:
            return ChannelPlan()
        return ChannelPlan(by_group, self.repository.find_groups_of_reservations(reservation_ids, by_group))
