"""A group's channel on its page: mail, or a system of the operator's own, with a secret that is shown once."""

from datetime import timedelta
from typing import Any, Final

from api.admin.office import Office
from api.admin.rendering import Fields
from api.channels import callbacks_of
from api.problems import ProblemError
from api.support.access import Staff
from api.targets import fault_of_target
from domain.targets import URL_LENGTH_MAX
from projections.channels import Channels
from projections.groups import Group
from projections.hook_secrets import HookSecrets
from projections.staff import Act

REFUSED_DAYS: Final = 7
"""How far back the page tells of refused callbacks."""


async def channel_view(office: Office, group: Group) -> dict[str, Any]:
    """What the page shows of a group's channel."""
    services, channel_id = office.services, group.channel_id
    if channel_id is None:
        return {"url_length_max": URL_LENGTH_MAX, "callbacks": None}
    storage, now = services.storage, services.now()
    since = now - timedelta(days=REFUSED_DAYS)
    return {
        "url_length_max": URL_LENGTH_MAX,
        "callbacks": callbacks_of(services, channel_id),
        "secrets": await services.read(lambda: HookSecrets(storage).lines(channel_id, now)),
        "refused": await services.read(lambda: Channels(storage).refused(channel_id, since)),
        "days": REFUSED_DAYS,
    }


async def change_channel(office: Office, staff: Staff, name: str, fields: Fields) -> str | None:
    """Mail a group's invitations, or post them; what is wrong with the address is among the fields' faults.

    Returns:
        The secret of a channel that is new, to be shown this once.

    Raises:
        ProblemError: MALFORMED, there is no such channel.
    """
    services, kind = office.services, fields.sent.get("channel")
    channels, now = Channels(services.storage), services.now()
    secret: str | None = None
    if kind == "webhook":
        url = fields.text("channel_url", URL_LENGTH_MAX, is_needed=True)
        if "channel_url" not in fields.faults and (fault := fault_of_target(url, services.settings)) is not None:
            fields.faults["channel_url"] = f"target.{fault}"
        if fields.faults:
            return None
        ids = (services.new_id(), services.new_id())
        secret = (await services.read(lambda: channels.turn_on(name, url, *ids, now)))[1]
    elif kind == "smtp":
        await services.read(lambda: channels.turn_off(name, now))
    else:
        raise ProblemError("MALFORMED")
    await _write_down(office, staff, "changed_channel", name)
    return secret


async def renew_secret(office: Office, staff: Staff, group: Group) -> str:
    """A new secret, to be shown this once; the one before it stays valid for a day.

    Raises:
        ProblemError: NOT_FOUND, the group never had a channel of its own.
    """
    services, channel_id = office.services, group.channel_id
    if channel_id is None:
        raise ProblemError("NOT_FOUND")
    text_id, now = services.new_id(), services.now()
    secret = await services.read(lambda: HookSecrets(services.storage).renew(channel_id, text_id, now))
    await _write_down(office, staff, "rotated_secret", group.name)
    return secret


async def _write_down(office: Office, staff: Staff, act: Act, name: str) -> None:
    text_id, now = office.services.new_id(), office.services.now()
    desk = office.desk.staff
    await office.services.read(lambda: desk.record_with_reason(act, staff.staff_id, None, name, text_id, now))
