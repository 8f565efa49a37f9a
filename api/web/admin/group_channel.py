"""A group's channel on its page: mail, or a system of the operator's own, with a secret that is shown once."""

from datetime import timedelta
from typing import Any, Final

from api.errors import ApplicationError
from api.use_cases.administration.group_channels import callbacks_of, mail_again, post_to_channel, renew_secret
from api.use_cases.administration.webhooks import fault_of_target
from api.web.admin.context import AdminContext
from api.web.forms import FormFields
from api.web.staff_auth.sessions import Staff
from domain.webhooks.target_url import URL_LENGTH_MAX
from projections.repositories.group_channels import GroupChannelRepository
from projections.repositories.groups import InviteGroup
from projections.repositories.webhook_secrets import WebhookSecretRepository

REJECTED_DAYS: Final = 7
"""Days for which the page counts rejected callbacks."""


def load_channel(admin: AdminContext, group: InviteGroup) -> dict[str, Any]:
    """What the page shows of a group's channel."""
    services, channel_id = admin.services, group.channel_id
    if channel_id is None:
        return {"url_length_max": URL_LENGTH_MAX, "callbacks": None}
    storage, now = services.storage, services.now()
    since = now - timedelta(days=REJECTED_DAYS)
    return {
        "url_length_max": URL_LENGTH_MAX,
        "callbacks": callbacks_of(services, channel_id),
        "secrets": WebhookSecretRepository(storage).list_valid(channel_id, now),
        "refused": GroupChannelRepository(storage).count_rejected_callbacks(channel_id, since),
        "days": REJECTED_DAYS,
    }


def change_channel(admin: AdminContext, staff: Staff, name: str, fields: FormFields) -> str | None:
    """Mail a group's invitations, or post them; what is wrong with the address is among the fields' faults.

    Returns:
        The secret of a channel that is new, to be shown this once.

    Raises:
        ApplicationError: MALFORMED, there is no such channel.
    """
    services, kind = admin.services, fields.values.get("channel")
    action = services.action(staff.caller())
    if kind == "webhook":
        url = fields.text("channel_url", URL_LENGTH_MAX, is_required=True)
        if "channel_url" not in fields.errors and (error := fault_of_target(url, services.settings)) is not None:
            fields.errors["channel_url"] = f"target.{error}"
        if fields.errors:
            return None
        return (post_to_channel(action, name, url)).secret
    if kind != "smtp":
        raise ApplicationError("MALFORMED")
    mail_again(action, name)
    return None


def renew_channel_secret(admin: AdminContext, staff: Staff, group: InviteGroup) -> str:
    """A new secret, to be shown this once; the one before it stays valid for a day.

    Raises:
        ApplicationError: NOT_FOUND, the group never had a channel of its own.
    """
    services, channel_id = admin.services, group.channel_id
    if channel_id is None:
        raise ApplicationError("NOT_FOUND")
    action = services.action(staff.caller())
    return renew_secret(action, channel_id, group.name)
