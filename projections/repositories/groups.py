"""Settings of the groups that codes invite to: texts of invitations, target of accepted ones, branding, and channel.

They are primary data next to the log; a rebuild does not touch them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.ports import Language
from domain.values.email_branding import DEFAULT_BRANDING, BrandingError, EmailBranding, parse_logo
from projections.database.store_queries import Database, ReadableStore
from projections.repositories.channel_form import DEFAULT_CHANNEL
from projections.repositories.group_channels import stored_settings
from projections.sql.repositories import RepositoriesSql

REBIND_TARGETS_MAX: Final = 100
"""Most groups that a recipient can choose from when moving an access."""


class InvitationTexts(NamedTuple):
    """Texts of a group's invitation in one language; the ledger's own text replaces an empty one."""

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
        """Return the texts of its invitations in a language."""
        return self.zh if language == "zh" else self.en


class GroupRow(NamedTuple):
    """A group in a list; `changed_at` is None if codes name it and it has no settings."""

    name: str
    accept_target: str | None
    channel: str | None
    changed_at: datetime | None


class GroupRepository:
    """Reads and writes the table `invite_groups`."""

    def __init__(self, storage: ReadableStore) -> None:
        self._db = Database(storage)

    def find(self, name: str) -> InviteGroup | None:
        """Return the settings of a group; None if it has none."""
        rows = self._db.fetch_all(RepositoriesSql.group_of_name, name)
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
        """Return the texts of a group's invitations; empty ones for a group without settings."""
        group = self.find(name)
        return group.texts_in(language) if group else DEFAULT_TEXTS

    def save(self, group: InviteGroup, now: datetime) -> None:
        """Insert or replace the settings of a group, except its channel and the branding of its emails."""
        row = (group.name, *group.zh, *group.en, group.accept_target, now)
        self._db.execute(RepositoriesSql.upsert_group, row)

    def find_branding(self, name: str) -> EmailBranding:
        """Return how the emails of a group look; the default for a group without settings.

        A stored logo that is not accepted, because it was altered, is left out.
        """
        rows = self._db.fetch_all(RepositoriesSql.branding_of_group, name)
        if not rows:
            return DEFAULT_BRANDING
        logo, accent = rows[0]
        try:
            return EmailBranding(None if logo is None else parse_logo(bytes(logo)), accent)
        except BrandingError:
            return EmailBranding(accent=accent)

    def save_branding(self, name: str, branding: EmailBranding, now: datetime) -> None:
        """Replace how the emails of a group look. A group without settings gets the default ones."""
        logo = None if branding.logo is None else branding.logo.data
        self._db.execute(RepositoriesSql.set_branding_of_group, (name, logo, branding.accent, now))

    def list_page(self, after: str, limit: int) -> list[GroupRow]:
        """Return groups with settings or codes in order of their names, after a name."""
        return [
            GroupRow(*row) for row in self._db.fetch_named(RepositoriesSql.names_of_groups, after=after, limit=limit)
        ]

    def accepts_rebinds(self, name: str) -> bool:
        """Tell whether recipients may move their access to this group."""
        rows = self._db.fetch_all(RepositoriesSql.takes_rebinds, name)
        return bool(rows and rows[0][0])

    def count_reserved(self, name: str) -> int:
        """Return how many uses of its codes are reserved: their invitations are not sent yet."""
        return int(self._db.fetch_all(RepositoriesSql.reserved_in_group, name)[0][0])

    def list_rebind_targets(self) -> list[str]:
        """Return the names of the first groups to which recipients may move their access."""
        return [row[0] for row in self._db.fetch_all(RepositoriesSql.groups_that_take_rebinds, REBIND_TARGETS_MAX)]

    def set_accepts_rebinds(self, name: str, *, allowed: bool) -> None:
        """Let recipients move their access to this group, or not. The group must have settings."""
        self._db.execute(RepositoriesSql.let_group_take_rebinds, (allowed, name))
