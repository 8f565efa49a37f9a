"""A kind of channel is one module: all doors work with one that nothing but the registry knows."""

from types import MappingProxyType
from typing import Annotated, Final
from uuid import UUID

import pytest
from pydantic import Field

from domain.ports import Accepted, NotifiedOnly, OutboundMessage, Outcome, Removal, RemovalOutcome
from projections.repositories.channel_form import ChannelSettings, FormField, TargetUrl
from projections.repositories.group_channels import ChannelConfig, GroupChannelRepository
from projections.repositories.groups import GroupRepository
from tests.support.channel_builders import MESSAGE
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.fake_channel import FakeChannel
from tests.support.ledger.code_template import make_template
from tests.support.servers.webhook_receiver import WebhookReceiver
from workers.channels import registry
from workers.channels.group_router import GroupRoutingChannel
from workers.channels.registry import ChannelKind, ChannelTools, GroupChannels, channel_kinds

pytestmark = pytest.mark.usefixtures("own_app")

PATH: Final = "/admin/groups/channel?name=design"
URL: Final = "https://pager.example.com/in"


class PagerSettings(ChannelSettings):
    """A URL as other kinds have it, and a setting that no other kind has."""

    url: TargetUrl
    number: Annotated[str, Field(min_length=1, max_length=4), FormField("text", 4)]


class PagerChannel:
    """Posts the number with a subject."""

    name = "pager"

    def __init__(self, config: ChannelConfig, tools: ChannelTools) -> None:
        self._config, self._tools = config, tools

    def send(self, message: OutboundMessage) -> Outcome:
        settings = self._config.settings
        response = self._tools.http.post(settings["url"], {}, f"{settings['number']} {message.group}".encode())
        return Accepted(server=self.name, reply_code=response.status)

    def revoke(self, removal: Removal) -> RemovalOutcome:  # noqa: ARG002 - the port's signature
        return NotifiedOnly(server=self.name)

    def close(self) -> None:
        """Nothing is open."""


PAGER: Final = ChannelKind(name="pager", settings=PagerSettings, is_signed=False, open=PagerChannel)
ALL_KINDS: Final = MappingProxyType({**channel_kinds(), "pager": PAGER})


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")


@pytest.fixture
def pager_app(loopback: None, app: AppClient, monkeypatch: pytest.MonkeyPatch) -> AppClient:
    """An API whose composition root found one more kind. The catalogs have no texts for it, so its keys are shown."""
    assert loopback is None
    monkeypatch.setattr(registry, "channel_kinds", lambda: ALL_KINDS)
    object.__setattr__(app.services, "channel_kinds", ALL_KINDS)
    return app


def test_new_kind_is_set_by_its_form_and_kept_with_its_settings(pager_app: AppClient, admin: StaffBrowser) -> None:
    page = admin.get("/admin/groups/one?name=design").text
    refused = admin.submit(PATH, "/admin", channel="pager", channel_url=URL, channel_number="12345")
    saved = admin.submit(PATH, "/admin", channel="pager", channel_url=URL, channel_number="1234")
    group = GroupRepository(pager_app.services.storage).find("design")

    assert read_page(page).find_all(value="pager")
    assert read_page(page).find_all(name="channel_number")
    assert (refused.status_code, saved.status_code) == (422, 303)
    assert read_page(refused.text).find_all(id="channel_number-fault")
    assert group is not None
    assert (group.channel, group.channel_settings) == ("pager", {"url": URL, "number": "1234"})


def test_new_kind_is_set_by_the_api_without_a_secret(pager_app: AppClient) -> None:
    key = pager_app.key("admin")
    body = {"group": "design", "kind": "pager", "url": URL}
    missing = pager_app.client.put("/api/v1/channels", json=body, headers=key)
    unknown = pager_app.client.put("/api/v1/channels", json={**body, "kind": "fax"}, headers=key)
    answer = pager_app.client.put("/api/v1/channels", json={**body, "settings": {"number": "7"}}, headers=key)
    (listed,) = pager_app.client.get("/api/v1/channels", headers=key).json()["channels"]

    assert (missing.status_code, missing.json()["errors"][0]["where"]) == (422, "body.settings.number")
    assert (unknown.status_code, unknown.json()["errors"][0]["where"]) == (422, "body.kind")
    assert (answer.status_code, answer.json()["secret"]) == (200, None)
    assert (listed["kind"], listed["url"], listed["settings"]) == ("pager", URL, {"number": "7"})


def test_workers_open_a_channel_of_the_new_kind(pager_app: AppClient) -> None:
    services = pager_app.services
    with WebhookReceiver() as system:
        pager_app.client.put(
            "/api/v1/channels",
            json={"group": "design", "kind": "pager", "url": system.url, "settings": {"number": "7"}},
            headers=pager_app.key("admin"),
        )
        reservation_id = pager_app.redeem(pager_app.issue(make_template(max_uses=1, group="design"))).json()[
            "reservation_id"
        ]
        channels = GroupChannels.create(services.settings, services.storage)
        plan = channels.plan([UUID(reservation_id)])
        outcome = GroupRoutingChannel(FakeChannel(), channels.for_group).send(MESSAGE)

    assert (plan.by_group, plan.groups) == ({"design": "pager"}, {UUID(reservation_id): "design"})
    assert outcome == Accepted(server="pager", reply_code=204)
    assert [one.body for one in system.received] == [b"7 design"]


def test_channel_of_unknown_kind_waits_for_newer_workers(pager_app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a downgrade nothing is mailed past the group's channel."""
    services = pager_app.services
    ids = (services.new_id(), services.new_id())
    GroupChannelRepository(services.storage).enable("design", PAGER, {"number": "7"}, ids, services.now())
    monkeypatch.setattr(registry, "channel_kinds", channel_kinds)
    fallback = FakeChannel()
    channels = GroupChannels.create(services.settings, services.storage)

    outcome = GroupRoutingChannel(fallback, channels.for_group).send(MESSAGE)

    assert (outcome.reason, outcome.final) == ("temporary", False)  # type: ignore[union-attr]  # anything else fails here
    assert fallback.sent == []
