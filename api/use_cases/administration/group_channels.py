"""Group channels: each change with its entry in the audit log, which holds the old and the new settings."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from api.use_cases.services import Services
from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_changes, describe_values
from projections.repositories.channel_form import DEFAULT_CHANNEL, ChannelForm
from projections.repositories.group_channels import GroupChannelRepository
from projections.repositories.groups import GroupRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository

MAIL = "mail"
"""Stands for the URL of a group whose invitations are sent by email."""


class CreatedChannel(NamedTuple):
    """A channel, and its secret if it is new: it is shown once."""

    channel_id: UUID
    secret: str | None


def parse_settings(services: Services, kind: ChannelForm, values: Mapping[str, Any]) -> dict[str, str]:
    """Validate the settings of a channel.

    Raises:
        pydantic.ValidationError: As `ChannelForm.parse`.
    """
    return kind.parse(values, services.settings.webhook_networks)


def set_channel(audit_log: AuditLog, group: str, kind: ChannelForm, settings: Mapping[str, str]) -> CreatedChannel:
    """Send a group's messages by a channel from now on.

    Args:
        audit_log: Who does it.
        group: Its name.
        kind: The kind of channel.
        settings: Those that the kind has accepted.
    """
    repository, ids = GroupChannelRepository(audit_log.storage), (audit_log.new_id(), audit_log.new_id())

    def change(record: AuditRecorder) -> CreatedChannel:
        before = GroupRepository(audit_log.storage).find(group)
        created = CreatedChannel(*repository.enable(group, kind, settings, ids, audit_log.now))
        is_mailed = before is None or before.channel == DEFAULT_CHANNEL
        former = {} if before is None or is_mailed else before.channel_settings
        differences: dict[str, tuple[object, object]] = {
            name: (former.get(name, MAIL if is_mailed else None), value) for name, value in settings.items()
        }
        if before is not None and not is_mailed:
            differences["channel"] = (before.channel, kind.name)
        details = describe_changes(**differences) or describe_values(**settings)
        record("changed_channel", created.channel_id, f"{describe_values(group=group)}; {details}")
        return created

    return audit_log.perform(change)


def mail_again(audit_log: AuditLog, group: str) -> bool:
    """Mail a group's messages again; False if they are mailed."""

    def change(record: AuditRecorder) -> bool:
        before = GroupRepository(audit_log.storage).find(group)
        is_done = GroupChannelRepository(audit_log.storage).disable(group, audit_log.now)
        if is_done and before is not None:
            differences = {name: (value, MAIL) for name, value in before.channel_settings.items()}
            record(
                "changed_channel",
                before.channel_id,
                f"{describe_values(group=group)}; {describe_changes(**differences)}",
            )
        return is_done

    return audit_log.perform(change)


def renew_secret(audit_log: AuditLog, owner_id: UUID, owner: str) -> str:
    """Make a new secret for a channel or a webhook endpoint; its text, to be shown once.

    Args:
        audit_log: Who does it.
        owner_id: The channel or endpoint.
        owner: What it is, for the audit log: the group's name or the URL.
    """
    secrets, text_id = WebhookSecretRepository(audit_log.storage), audit_log.new_id()

    def change(record: AuditRecorder) -> str:
        secret = secrets.rotate(owner_id, text_id, audit_log.now)
        record("rotated_secret", owner_id, owner)
        return secret

    return audit_log.perform(change)


def callbacks_of(services: Services, channel_id: UUID) -> str:
    """Give the URL that a channel's external system sends its callbacks to."""
    return f"{services.settings.public_url.rstrip('/')}/api/v1/channels/{channel_id}/callbacks"
