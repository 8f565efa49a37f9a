"""Groups that codes invite to: the words of their letters, where the accepted invitation leads, and the channel.

Settings, not facts about codes: primary data beside the log, which no rebuild touches.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.ports import Language
from projections.read_models.reader import Reader
from projections.repositories.channel_form import DEFAULT_CHANNEL
from projections.repositories.group_channels import stored_settings
from projections.sql.repositories import RepositoriesSql

REBIND_TARGETS_MAX: Final = 100
"""Groups that a person is offered to move to."""


class InvitationTexts(NamedTuple):
    """What a group's letter says in one language; what is empty is said in the ledger's own words."""

    subject: str = ""
    text: str = ""


DEFAULT_TEXTS: Final = InvitationTexts()


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteGroup:
    """One group's settings. `accept_target`: absolute URL that an accepted invitation leads to; None for nowhere.

    `channel`, `channel_id` and `channel_settings` are read here and changed by `GroupChannelRepository`.
    `accepts_rebinds`: whether persons may move their access here by themselves; read and written on its own.
    """

    name: str
    zh: InvitationTexts = DEFAULT_TEXTS
    en: InvitationTexts = DEFAULT_TEXTS
    accept_target: str | None = None
    channel: str = DEFAULT_CHANNEL
    channel_id: UUID | None = None
    channel_settings: Mapping[str, str] = field(default_factory=dict)
    changed_at: datetime | None = None
    takes_rebinds: bool = False

    def texts_in(self, language: Language) -> InvitationTexts:
        """What its letters say in a language."""
        return self.zh if language == "zh" else self.en


class GroupRow(NamedTuple):
    """A group in a list; `changed_at` is None where codes name it and nobody has set anything."""

    name: str
    accept_target: str | None
    channel: str | None
    changed_at: datetime | None


class GroupRepository(Reader):
    """Reads and writes the table `invite_groups`."""

    def find(self, name: str) -> InviteGroup | None:
        """The settings of a group; None if there are none."""
        rows = self._fetch_all(RepositoriesSql.group_of_name, name)
        if not rows:
            return None
        name, subject_zh, text_zh, subject_en, text_en, target, channel, changed_at, channel_id, url, others = rows[0]
        return InviteGroup(
            name=name,
            zh=InvitationTexts(subject_zh, text_zh),
            en=InvitationTexts(subject_en, text_en),
            accept_target=target,
            channel=channel,
            channel_id=channel_id,
            channel_settings=stored_settings(url, others),
            changed_at=changed_at,
        )

    def find_texts(self, name: str, language: Language) -> InvitationTexts:
        """What a group's letters say; empty for a group without settings."""
        group = self.find(name)
        return group.texts_in(language) if group else DEFAULT_TEXTS

    def save(self, group: InviteGroup, now: datetime) -> None:
        """Enter or replace the settings of a group, but for its channel."""
        row = (group.name, *group.zh, *group.en, group.accept_target, now)
        with self._open_cursor() as cursor:
            cursor.execute(RepositoriesSql.upsert_group, row)

    def list_page(self, after: str, limit: int) -> list[GroupRow]:
        """Groups with settings or codes, by name, from a name on."""
        with self._open_cursor() as cursor:
            rows = cursor.execute(RepositoriesSql.names_of_groups, {"after": after, "limit": limit}).fetchall()
        return [GroupRow(*row) for row in rows]

    def accepts_rebinds(self, name: str) -> bool:
        """Whether persons may move their access to this group by themselves."""
        rows = self._fetch_all(RepositoriesSql.takes_rebinds, name)
        return bool(rows and rows[0][0])

    def list_rebind_targets(self) -> list[str]:
        """Names of the groups to which persons may move, the first ones."""
        return [row[0] for row in self._fetch_all(RepositoriesSql.groups_that_take_rebinds, REBIND_TARGETS_MAX)]

    def set_accepts_rebinds(self, name: str, *, allowed: bool) -> None:
        """Let persons move their access to this group, or not. It has to have settings."""
        with self._open_cursor() as cursor:
            cursor.execute(RepositoriesSql.let_group_take_rebinds, (allowed, name))
