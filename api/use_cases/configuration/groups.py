"""Groups of a configuration file: texts, page after acceptance, branding and channel."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from api.i18n.languages import LANGUAGES
from api.use_cases.administration.batches import save_group
from api.use_cases.administration.group_branding import DIGEST_LENGTH, change_branding
from api.use_cases.administration.group_channels import mail_again, set_channel
from api.use_cases.configuration.changes import (
    PlanContext,
    PlannedChange,
    list_differences,
    refuse,
)
from api.use_cases.configuration.config_file import ChannelEntry, GroupEntry, TextsEntry, document_of
from domain.values.email_branding import parse_logo
from projections.database.store_queries import ReadableStore
from projections.repositories.channel_form import DEFAULT_CHANNEL, target_fault
from projections.repositories.groups import GroupRepository, InvitationTexts, InviteGroup

NAMES_PER_READ: Final = 200
BRANDING: Final = frozenset({"logo", "accent"})
"""Fields that `change_branding` stores."""


def plan_groups(context: PlanContext, entries: Sequence[GroupEntry]) -> Iterator[PlannedChange]:
    """Yield the change of each group that differs from its entry. Removing a group resets its settings.

    Raises:
        StorageUnavailableError: The database is unavailable.
    """
    groups = GroupRepository(context.services.storage)
    for entry in entries:
        before = _entry_of(groups, entry.name)
        try:
            after = entry if entry.channel == before.channel else _check_channel(context, entry)
        except ValueError as error:
            yield refuse("group", entry.name, str(error))
            continue
        if (change := _change(context, before, after)) is not None:
            yield change
    if context.prunes:
        named = {entry.name for entry in entries}
        for name in _list_names(groups):
            change = None if name in named else _change(context, _entry_of(groups, name), GroupEntry(name=name))
            if change is not None:
                yield change


def export_groups(storage: ReadableStore, _now: datetime) -> Iterator[dict[str, Any]]:
    """Yield the entry of each group whose settings are not the usual ones, by name."""
    groups = GroupRepository(storage)
    documents = (document_of(_entry_of(groups, name)) for name in _list_names(groups))
    return (document for document in documents if len(document) > 1)


def _list_names(groups: GroupRepository) -> Iterator[str]:
    after = ""
    while rows := groups.list_page(after, NAMES_PER_READ):
        yield from (row.name for row in rows if row.changed_at is not None)
        after = rows[-1].name


def _check_channel(context: PlanContext, entry: GroupEntry) -> GroupEntry:
    """Return the entry with the settings of its channel as the channel reads them.

    Raises:
        ValueError: There is no such channel, or a setting is wrong.
    """
    if entry.channel is None:
        return entry
    kind = context.channel_kinds.get(entry.channel.kind)
    if kind is None:
        raise ValueError(f"channel.kind must be one of {', '.join(context.channel_kinds)}")
    try:
        settings = kind.parse(entry.channel.settings, context.settings.webhook_networks)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        why = f"is not possible ({fault})" if (fault := target_fault(dict(first))) else first["msg"]
        raise ValueError(f"channel.settings.{'.'.join(map(str, first['loc']))}: {why}") from None
    return entry.model_copy(update={"channel": ChannelEntry(kind=kind.name, settings=settings)})


def _entry_of(groups: GroupRepository, name: str) -> GroupEntry:
    group = groups.find(name) or InviteGroup(name=name)
    branding = groups.find_branding(name)
    texts = {language: group.texts_in(language) for language in LANGUAGES}
    is_mailed = group.channel == DEFAULT_CHANNEL
    return GroupEntry.model_construct(
        name=name,
        accept_target=group.accept_target,
        accepts_rebinds=groups.accepts_rebinds(name),
        logo=None if branding.logo is None else base64.b64encode(branding.logo.data).decode(),
        accent=branding.accent,
        texts={
            language: TextsEntry.model_construct(**words._asdict()) for language, words in texts.items() if any(words)
        },
        channel=None if is_mailed else ChannelEntry(kind=group.channel, settings=dict(group.channel_settings)),
    )


def _change(context: PlanContext, before: GroupEntry, after: GroupEntry) -> PlannedChange | None:
    differences = list_differences(_shown(before), _shown(after))
    if not differences:
        return None
    changed = {one.field.partition(".")[0] for one in differences}

    def perform() -> str | None:
        audit_log = context.services.open_audit_log(context.caller)
        if changed - BRANDING - {"channel"}:
            save_group(audit_log, GroupRepository(context.services.storage), _group_of(after))
        if changed & BRANDING:
            logo = None if after.logo is None else parse_logo(base64.b64decode(after.logo))
            change_branding(audit_log, after.name, {"logo": logo, "accent": after.accent})
        if "channel" not in changed:
            return None
        if after.channel is None:
            mail_again(audit_log, after.name)
            return None
        kind = context.channel_kinds[after.channel.kind]
        return set_channel(audit_log, after.name, kind, after.channel.settings).secret

    return PlannedChange(
        kind="group",
        name=after.name,
        action="change",
        differences=differences,
        # Their invitations are sent with the new texts and logo, and through the new channel.
        live={"reserved": GroupRepository(context.services.storage).count_reserved(after.name)},
        perform=perform,
    )


def _group_of(entry: GroupEntry) -> InviteGroup:
    texts: dict[str, Any] = {
        language: InvitationTexts(words.subject, words.text) for language, words in entry.texts.items()
    }
    return InviteGroup(name=entry.name, accept_target=entry.accept_target, takes_rebinds=entry.accepts_rebinds, **texts)


def _shown(entry: GroupEntry) -> Mapping[str, Any]:
    """Return an entry as a document in which a digest stands for the logo."""
    document = document_of(entry)
    if entry.logo is not None:
        document["logo"] = hashlib.sha256(base64.b64decode(entry.logo)).hexdigest()[:DIGEST_LENGTH]
    return document
