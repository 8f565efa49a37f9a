"""Which groups' invitations are posted to the operator's own system instead of mailed, and where to."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.errors import ApplicationError, malformed
from api.http.blocking_route import BlockingRoute
from api.http.dependencies import Admin, TheServices
from api.http.openapi import PROTECTED, problem_responses
from api.schemas.resources import Asked, GroupName
from api.schemas.webhooks import SecretView, views_of_secrets
from api.use_cases.administration.group_channels import callbacks_of, mail_again, post_to_channel, renew_secret
from api.use_cases.administration.webhooks import checked_target
from api.use_cases.services import Services
from domain.values.group_name import NAME_LENGTH_MAX
from domain.webhooks.target_url import URL_LENGTH_MAX
from projections.repositories.group_channels import ChannelRow, GroupChannelRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository

PER_PAGE = 100

router = APIRouter(
    route_class=BlockingRoute,
    prefix="/api/v1/channels",
    tags=["channels"],
    responses=PROTECTED,
)


class ChannelRequest(Asked):
    """Where a group's invitations are to be posted."""

    group: GroupName
    url: Annotated[str, Field(min_length=1, max_length=URL_LENGTH_MAX)]


class ChannelView(BaseModel):
    """One group's channel. `secret` is shown once, when it is made."""

    id: UUID
    group: str
    on: bool
    url: str
    callbacks: str
    secrets: list[SecretView]
    secret: str | None = None


class ChannelPage(BaseModel):
    """A page of channels by their groups' names; `next` is the `after` of the following page, null on the last."""

    channels: list[ChannelView]
    next: str | None


@router.put("", summary="Post a group's invitations to a system of yours")
def put_channel(body: ChannelRequest, services: TheServices, caller: Admin) -> ChannelView:
    """Posts the group's due invitations there from now on. The first response for a group holds the secret, once."""
    url, action = checked_target(body.url, services.settings), services.action(caller)
    channel_id, secret = post_to_channel(action, body.group, url)
    return view_of_channel(services, ChannelRow(channel_id, body.group, is_on=True, url=url), secret)


@router.get("", summary="Groups that have or had a channel of their own")
def list_channels(
    services: TheServices,
    _: Admin,
    after: Annotated[str, Query(max_length=NAME_LENGTH_MAX)] = "",
) -> ChannelPage:
    """By name."""
    if not after.isprintable():
        raise malformed("query.after", "a group's name on one line")
    channels = GroupChannelRepository(services.storage)
    found = channels.list_page(after, PER_PAGE + 1)
    views = [view_of_channel(services, line) for line in found[:PER_PAGE]]
    return ChannelPage(channels=views, next=found[PER_PAGE - 1].group if len(found) > PER_PAGE else None)


@router.post(
    "/{channel_id}/rotate-secret", responses=problem_responses("NOT_FOUND"), summary="Make a new secret for a channel"
)
def rotate_channel_secret(channel_id: UUID, services: TheServices, caller: Admin) -> ChannelView:
    """Shown this once. The one before it stays valid for 24 hours, both ways."""
    line, action = _line(services, channel_id), services.action(caller)
    secret = renew_secret(action, channel_id, line.group)
    return view_of_channel(services, line, secret)


@router.delete("/{channel_id}", responses=problem_responses("NOT_FOUND"), summary="Mail a group's invitations again")
def delete_channel(channel_id: UUID, services: TheServices, caller: Admin) -> ChannelView:
    """What was posted before is still reported on: the callbacks' address and secrets stay."""
    line, action = _line(services, channel_id), services.action(caller)
    mail_again(action, line.group)
    return view_of_channel(services, line._replace(is_on=False))


def view_of_channel(services: Services, line: ChannelRow, secret: str | None = None) -> ChannelView:
    """A channel with what is known of its secrets."""
    secrets, now = WebhookSecretRepository(services.storage), services.now()
    lines = secrets.list_valid(line.channel_id, now)
    return ChannelView(
        id=line.channel_id,
        group=line.group,
        on=line.is_on,
        url=line.url,
        callbacks=callbacks_of(services, line.channel_id),
        secrets=views_of_secrets(lines),
        secret=secret,
    )


def _line(services: Services, channel_id: UUID) -> ChannelRow:
    channels = GroupChannelRepository(services.storage)
    line = channels.find(channel_id)
    if line is None:
        raise ApplicationError("NOT_FOUND")
    return line
