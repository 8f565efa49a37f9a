"""A group's channel on its page: the form of the kinds of channels, and a secret that is shown once."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError

from api.errors import ApplicationError
from api.use_cases.administration.group_channels import (
    callbacks_of,
    mail_again,
    parse_settings,
    renew_secret,
    set_channel,
)
from api.web.admin.context import AdminContext
from api.web.forms import FormFields
from api.web.staff_auth.staff import Staff
from projections.repositories.channel_form import DEFAULT_CHANNEL, ChannelForm, target_fault
from projections.repositories.group_channels import GroupChannelRepository
from projections.repositories.groups import InviteGroup
from projections.repositories.webhook_secrets import WebhookSecretRepository

REJECTED_DAYS: Final = 7
"""Days for which the page counts rejected callbacks."""
FIELD_ERRORS: Final = {"string_too_long": "length", "string_too_short": "missing"}
"""Ends of the catalog keys of errors by their pydantic type; all others are `value`."""


def load_channel(admin: AdminContext, group: InviteGroup) -> dict[str, Any]:
    """Show a group's channel: the kinds with their fields, and what callbacks of the chosen one brought."""
    services, channel_id = admin.services, group.channel_id
    kinds = services.channel_kinds.values()
    form = {"kinds": kinds, "fields": {name: field for kind in kinds for name, field in kind.fields.items()}}
    if channel_id is None:
        return {**form, "callbacks": None}
    storage, now = services.storage, services.now()
    since = now - timedelta(days=REJECTED_DAYS)
    secrets = WebhookSecretRepository(storage).list_valid(channel_id, now)
    return {
        **form,
        "callbacks": callbacks_of(services, channel_id) if secrets else None,
        "secrets": secrets,
        "refused": GroupChannelRepository(storage).count_rejected_callbacks(channel_id, since),
        "days": REJECTED_DAYS,
    }


def change_channel(admin: AdminContext, staff: Staff, name: str, fields: FormFields) -> str | None:
    """Set a group's channel, or mail its messages again; invalid settings are among the errors of `fields`.

    Returns:
        The secret of a channel that is new, to be shown this once.

    Raises:
        ApplicationError: MALFORMED, there is no such kind of channel.
    """
    services, chosen = admin.services, fields.values.get("channel", "")
    audit_log = services.open_audit_log(staff.caller(None))
    if chosen == DEFAULT_CHANNEL:
        mail_again(audit_log, name)
        return None
    kind = services.channel_kinds.get(chosen)
    if kind is None:
        raise ApplicationError("MALFORMED")
    try:
        settings = parse_settings(services, kind, sent_settings(kind, fields.values))
    except ValidationError as error:
        fields.errors.update({f"channel_{one['loc'][0]}": _field_error(dict(one)) for one in error.errors()})
        return None
    return set_channel(audit_log, name, kind, settings).secret


def sent_settings(kind: ChannelForm, sent: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a kind as a form has them, by their names."""
    return {name: sent.get(f"channel_{name}", "") for name in kind.fields}


def _field_error(error: Mapping[str, Any]) -> str:
    if (fault := target_fault(error)) is not None:
        return f"target.{fault}"
    return FIELD_ERRORS.get(error["type"], "value")


def renew_channel_secret(admin: AdminContext, staff: Staff, group: InviteGroup) -> str:
    """Generate a new secret, to be shown once; the former one stays valid for a day.

    Raises:
        ApplicationError: NOT_FOUND, the group never had a channel.
    """
    services, channel_id = admin.services, group.channel_id
    if channel_id is None:
        raise ApplicationError("NOT_FOUND")
    audit_log = services.open_audit_log(staff.caller(None))
    return renew_secret(audit_log, channel_id, group.name)
