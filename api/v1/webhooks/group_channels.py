"""Which groups have a channel, such as the webhook of an external system, instead of email."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, ValidationError

from api.errors import ApplicationError, malformed
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import Admin, TheServices
from api.http.openapi import PROTECTED, problem_responses
from api.http.pagination import Page
from api.http.validation_errors import field_errors
from api.schemas.resources import GroupName, StrictRequest
from api.schemas.webhooks import SecretView, views_of_secrets
from api.use_cases.administration.group_channels import (
    callbacks_of,
    mail_again,
    parse_settings,
    renew_secret,
    set_channel,
)
from api.use_cases.services import Services
from domain.values.group_name import NAME_LENGTH_MAX
from domain.webhooks.target_url import URL_LENGTH_MAX
from projections.repositories.channel_form import DEFAULT_CHANNEL, ChannelForm, target_fault
from projections.repositories.group_channels import ChannelRow, GroupChannelRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository

PER_PAGE = 100
KIND_LENGTH_MAX = 40
SETTINGS_MAX = 20

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/channels",
    tags=["channels"],
    responses=PROTECTED,
)


class ChannelRequest(StrictRequest):
    """The channel of a group."""

    group: GroupName
    kind: Annotated[str, Field(max_length=KIND_LENGTH_MAX, description="Kind of the channel, such as webhook.")] = (
        "webhook"
    )
    url: Annotated[str | None, Field(max_length=URL_LENGTH_MAX, description="URL to which messages are posted.")] = None
    settings: dict[str, Annotated[str, Field(max_length=URL_LENGTH_MAX)]] = Field(
        default_factory=dict,
        max_length=SETTINGS_MAX,
        description="Settings of this kind of channel; a webhook has none.",
    )


class ChannelView(BaseModel):
    """A channel of a group."""

    id: UUID
    group: str
    on: bool
    kind: str
    url: str
    settings: dict[str, str]
    callbacks: str
    secrets: list[SecretView]
    secret: str | None = None


class ChannelPage(BaseModel):
    """A page of channels, ordered by the names of their groups."""

    channels: list[ChannelView]
    next: str | None


@router.put("", summary="Connect a group to an external system")
def put_channel(body: ChannelRequest, services: TheServices, caller: Admin) -> ChannelView:
    """Posts the group's invitations to the URL from now on. Only the first response for a group contains the secret."""
    kind, audit_log = services.channel_kinds.get(body.kind), services.open_audit_log(caller)
    if kind is None:
        raise malformed("body.kind", f"must be one of {', '.join(services.channel_kinds)}")
    settings = _accepted_settings(services, kind, body)
    channel_id, secret = set_channel(audit_log, body.group, kind, settings)
    return view_of_channel(services, ChannelRow(channel_id, body.group, kind.name, settings), secret)


@router.get("", summary="List groups with a channel")
def list_channels(
    services: TheServices,
    _: Admin,
    after: Annotated[str, Query(max_length=NAME_LENGTH_MAX)] = "",
) -> ChannelPage:
    """Returns one page, ordered by group name."""
    if not after.isprintable():
        raise malformed("query.after", "must be the name of a group, on one line")
    channels = GroupChannelRepository(services.storage)
    rows = channels.list_page(after, PER_PAGE + 1)
    page = Page.of(rows, PER_PAGE, lambda row: row.group)
    return ChannelPage(channels=[view_of_channel(services, row) for row in page.rows], next=page.next)


@router.post(
    "/{channel_id}/rotate-secret",
    responses=problem_responses("NOT_FOUND"),
    summary="Rotate the signing secret of a channel",
)
def rotate_channel_secret(channel_id: UUID, services: TheServices, caller: Admin) -> ChannelView:
    """Only this response contains the new secret. The former secret stays valid for 24 hours in both directions."""
    line, audit_log = _line(services, channel_id), services.open_audit_log(caller)
    secret = renew_secret(audit_log, channel_id, line.group)
    return view_of_channel(services, line, secret)


@router.delete(
    "/{channel_id}", responses=problem_responses("NOT_FOUND"), summary="Disconnect a group from its external system"
)
def delete_channel(channel_id: UUID, services: TheServices, caller: Admin) -> ChannelView:
    """Sends the invitations of the group by email again. Callbacks about earlier invitations are still accepted."""
    line, audit_log = _line(services, channel_id), services.open_audit_log(caller)
    mail_again(audit_log, line.group)
    return view_of_channel(services, line._replace(kind=DEFAULT_CHANNEL))


def view_of_channel(services: Services, line: ChannelRow, secret: str | None = None) -> ChannelView:
    """Return a channel with its secrets, without their texts."""
    secrets, now = WebhookSecretRepository(services.storage), services.now()
    lines = secrets.list_valid(line.channel_id, now)
    return ChannelView(
        id=line.channel_id,
        group=line.group,
        on=line.is_on,
        kind=line.kind,
        url=line.settings.get("url", ""),
        settings={name: value for name, value in line.settings.items() if name != "url"},
        callbacks=callbacks_of(services, line.channel_id),
        secrets=views_of_secrets(lines),
        secret=secret,
    )


def _accepted_settings(services: Services, kind: ChannelForm, body: ChannelRequest) -> dict[str, str]:
    values = {**({} if body.url is None else {"url": body.url}), **body.settings}
    try:
        return parse_settings(services, kind, values)
    except ValidationError as error:
        for one in error.errors():
            if (fault := target_fault(dict(one))) is not None:
                raise ApplicationError("TARGET_REFUSED", why=fault) from None
        places = {name: ("body", name) if name == "url" else ("body", "settings", name) for name in kind.fields}
        errors = field_errors(
            {**one, "loc": places.get(str(one["loc"][0]), ("body", "settings", *one["loc"]))} for one in error.errors()
        )
        raise ApplicationError("MALFORMED", errors=errors) from None


def _line(services: Services, channel_id: UUID) -> ChannelRow:
    channels = GroupChannelRepository(services.storage)
    line = channels.find(channel_id)
    if line is None:
        raise ApplicationError("NOT_FOUND")
    return line
