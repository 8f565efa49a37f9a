"""Group channels: each change with its line in the audit log, which holds the old and the new URL."""

from typing import NamedTuple
from uuid import UUID

from api.use_cases.services import Services
from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_changes, describe_values
from projections.repositories.group_channels import GroupChannelRepository
from projections.repositories.groups import GroupRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository

MAIL = "mail"
"""What stands for the URL of a group whose invitations are mailed."""


class CreatedChannel(NamedTuple):
    """A channel, and its secret if it is new: it is shown once."""

    channel_id: UUID
    secret: str | None


def post_to_channel(action: AuditLog, group: str, url: str) -> CreatedChannel:
    """Post a group's invitations to an external system from now on.

    Args:
        action: Who does it.
        group: Its name.
        url: A target that was checked.
    """
    channels, ids = GroupChannelRepository(action.storage), (action.new_id(), action.new_id())

    def change(record: AuditRecorder) -> CreatedChannel:
        before = _url_of(action, group)
        made = CreatedChannel(*channels.enable(group, url, *ids, action.now))
        details = describe_changes(url=(before, url)) or describe_values(url=url)
        record("changed_channel", made.channel_id, f"{describe_values(group=group)}; {details}")
        return made

    return action.perform(change)


def mail_again(action: AuditLog, group: str) -> bool:
    """Mail a group's invitations again; False if they are mailed."""

    def change(record: AuditRecorder) -> bool:
        before = GroupRepository(action.storage).find(group)
        is_done = GroupChannelRepository(action.storage).disable(group, action.now)
        if is_done and before is not None:
            details = describe_changes(url=(before.channel_url, MAIL))
            record("changed_channel", before.channel_id, f"{describe_values(group=group)}; {details}")
        return is_done

    return action.perform(change)


def renew_secret(action: AuditLog, owner_id: UUID, owner: str) -> str:
    """Make a new secret for a channel or a webhook endpoint; its text, to be shown once.

    Args:
        action: Who does it.
        owner_id: The channel or endpoint.
        owner: What it is, for the audit log: the group's name or the URL.
    """
    secrets, text_id = WebhookSecretRepository(action.storage), action.new_id()

    def change(record: AuditRecorder) -> str:
        secret = secrets.rotate(owner_id, text_id, action.now)
        record("rotated_secret", owner_id, owner)
        return secret

    return action.perform(change)


def _url_of(action: AuditLog, group: str) -> str:
    found = GroupRepository(action.storage).find(group)
    return found.channel_url if found and found.channel == "webhook" and found.channel_url else MAIL


def callbacks_of(services: Services, channel_id: UUID) -> str:
    """Give the URL that a channel's external system sends its callbacks to."""
    return f"{services.settings.public_url.rstrip('/')}/api/v1/channels/{channel_id}/callbacks"
