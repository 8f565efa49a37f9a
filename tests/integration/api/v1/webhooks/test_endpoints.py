"""Webhook endpoints over HTTP: made, changed, tested, told again; secrets are shown once, targets looked at."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import jsonschema_rs
import pytest
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook

from api.schemas.events.cloud_event import describe_message_envelope
from domain.events.registry import EVENT_TYPES
from projections.repositories.webhook_deliveries import DeliveryResult, EndpointUpdate, WebhookDeliveryRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.in_process_app import shared_site
from tests.support.servers.webhook_receiver import ScriptedReply, WebhookReceiver

PATH = "/api/v1/webhooks"
URL = "https://bi.example.com/ledger"
Ask = Callable[..., AppResponse]


@pytest.fixture(scope="module")
def app(postgres_url: str) -> Iterator[AppClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")
        with shared_site(postgres_url) as app_client:
            yield app_client


@pytest.fixture
def ask(app: AppClient) -> Ask:
    headers = app.key("admin")

    def request(method: str, path: str = "", **body: Any) -> AppResponse:
        sent: dict[str, Any] = (
            {"json": body} if method in {"POST", "PATCH"} and body else {"params": body} if body else {}
        )
        return cast("AppResponse", app.client.request(method, PATH + path, headers=headers, **sent))

    return request


def test_endpoint_is_made_and_its_secret_shown_once(app: AppClient, ask: Ask) -> None:
    """From now on, for all events, one at a time, unless it is said otherwise."""
    app.issue()
    endpoint = ask("POST", url=f" {URL} ").json()
    shown = ask("GET", f"/{endpoint['id']}").json()

    assert endpoint["secret"].startswith("whsec_")
    assert shown == {**endpoint, "secret": None}
    assert (shown["url"], shown["event_types"], shown["concurrency"]) == (URL, [], 1)
    assert (shown["state"], shown["behind"], shown["pending"]) == ("enabled", 0, 0)
    chosen = ask("POST", url=URL, event_types=["UseRefunded", "InviteSent"], concurrency=4, from_position=0).json()
    assert (chosen["event_types"], chosen["position"]) == (["InviteSent", "UseRefunded"], 0)
    assert chosen["behind"] > 0
    listed = [one["id"] for one in ask("GET").json()["webhooks"]]
    assert listed.index(endpoint["id"]) < listed.index(chosen["id"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "ftp://bi.example.com/"}, "TARGET_REFUSED"),
        ({"url": "https://10.0.0.1/"}, "TARGET_REFUSED"),
        ({"url": "https://[::1]/"}, "TARGET_REFUSED"),
        ({"url": ""}, "MALFORMED"),
        ({"url": URL, "event_types": ["InviteSent", "Nonsense"]}, "MALFORMED"),
        ({"url": URL, "concurrency": 9}, "MALFORMED"),
        ({"url": URL, "from_position": -1}, "MALFORMED"),
    ],
)
def test_invalid_endpoint_is_refused(ask: Ask, body: dict[str, Any], code: str) -> None:
    """Also as a change of one."""
    endpoint = ask("POST", url=URL).json()
    answers = [ask("POST", **body)]
    if "from_position" not in body:
        answers.append(ask("PATCH", f"/{endpoint['id']}", **body))

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, code)] * len(answers)


def test_format_is_chosen_and_changed_and_its_test_is_written_so(app: AppClient, ask: Ask) -> None:
    with WebhookReceiver() as server:
        endpoint = ask("POST", url=server.url, format="cloudevents").json()
        path = f"/{endpoint['id']}"
        assert ask("PATCH", path, concurrency=2).json()["format"] == "cloudevents"
        assert ask("POST", f"{path}/test").json()["taken"]
        assert ask("PATCH", path, format="standard").json()["format"] == "standard"
        assert ask("POST", f"{path}/test").json()["taken"]
        wrapped, plain = server.received

    assert endpoint["format"] == "cloudevents"
    assert ask("POST", url=URL).json()["format"] == "standard"
    assert ask("PATCH", path, format="binary").json()["code"] == "MALFORMED"
    jsonschema_rs.Draft202012Validator(describe_message_envelope()).validate(wrapped.json())
    event = JSONFormat().read(None, wrapped.body)
    assert wrapped.headers["content-type"] == "application/cloudevents+json"
    assert event.get_id() == wrapped.headers["webhook-id"]
    assert event.get_source() == f"{app.services.settings.public_url.rstrip('/')}/api/v1/webhooks"
    assert cast("dict[str, Any]", event.get_data())["type"] == plain.json()["type"] == "webhook.test"
    assert plain.headers["content-type"] == "application/json"


def test_position_beyond_the_log_is_its_end(ask: Ask) -> None:
    """It can't be behind by less than nothing."""
    assert ask("POST", url=URL, from_position=2**52).json()["behind"] == 0


def test_changing_disabling_and_removing(ask: Ask) -> None:
    """What is not named stays; a disabled one says why; a removed one is none."""
    endpoint = ask("POST", url=URL, event_types=["InviteSent"]).json()
    path = f"/{endpoint['id']}"
    changed = ask("PATCH", path, event_types=[], concurrency=2, state="disabled").json()

    assert (changed["url"], changed["event_types"], changed["concurrency"]) == (URL, [], 2)
    assert (changed["state"], changed["reason"]) == ("disabled", "by_staff")
    enabled = ask("PATCH", path, state="enabled").json()
    assert (enabled["state"], enabled["reason"]) == ("enabled", None)
    assert ask("DELETE", path).status_code == 204
    for answer in (
        ask("DELETE", path),
        ask("GET", path),
        ask("PATCH", path, concurrency=1),
        ask("POST", f"{path}/test"),
    ):
        assert answer.status_code == 404
    assert endpoint["id"] not in {one["id"] for one in ask("GET").json()["webhooks"]}


def test_secret_is_replaced_without_a_gap(app: AppClient, ask: Ask) -> None:
    endpoint = ask("POST", url=URL).json()
    renewed = ask("POST", f"/{endpoint['id']}/rotate-secret").json()

    assert len(renewed["secrets"]) == 2
    valid = WebhookSecretRepository(app.services.storage).list_valid_texts(UUID(endpoint["id"]), app.services.now())
    assert valid == (renewed["secret"], endpoint["secret"])


def test_test_is_sent_at_once_and_is_in_the_log(ask: Ask) -> None:
    """It says what came of it, and nothing is tried again."""
    with WebhookReceiver() as server:
        endpoint = ask("POST", url=server.url).json()
        server.then(ScriptedReply(204), ScriptedReply(500))
        first, second = (ask("POST", f"/{endpoint['id']}/test").json() for _ in range(2))
        body = Webhook(endpoint["secret"]).verify(server.received[0].body, server.received[0].headers)

    assert (first["taken"], first["status"], second["taken"], second["outcome"]) == (True, 204, False, "server_error")
    assert body["type"] == "webhook.test"
    log = ask("GET", f"/{endpoint['id']}/deliveries").json()["deliveries"]
    assert [(one["event_type"], one["state"], one["position"]) for one in log] == [
        ("webhook.test", "failed", None),
        ("webhook.test", "delivered", None),
    ]
    assert ask("POST", f"/{endpoint['id']}/deliveries/{log[0]['id']}/redeliver").status_code == 404
    assert len(ask("GET", f"/{endpoint['id']}/deliveries", state="failed").json()["deliveries"]) == 1


def test_message_is_redelivered(app: AppClient, ask: Ask) -> None:
    endpoint = ask("POST", url=URL, event_types=["CodeIssued"]).json()
    app.issue()
    app.issue()
    endpoint_id, runner = UUID(endpoint["id"]), uuid4()
    deliveries, now = WebhookDeliveryRepository(app.services.storage), app.services.now()
    while (lease := deliveries.lease(runner, now, now + timedelta(seconds=60))) is not None:
        deliveries.enqueue_new_events(lease, runner, now)
        if lease.endpoint_id == endpoint_id:
            break
    due = deliveries.list_due(endpoint_id, app.services.now() + timedelta(seconds=1), 10)
    for one, state in zip(due, ("delivered", "failed"), strict=True):
        result = DeliveryResult(one.delivery_id, cast("Any", state), None, now, "taken", 204, 3)
        deliveries.save_results(endpoint_id, runner, [result], lambda _: EndpointUpdate(0, None, None))
    path = f"/{endpoint['id']}"

    assert ask("POST", f"{path}/deliveries/{due[0].delivery_id}/redeliver").json() == {"count": 1}
    assert ask("POST", f"{path}/redeliver-failed").json() == {"count": 1}
    assert ask("POST", f"{path}/redeliver-failed").json() == {"count": 0}
    log = ask("GET", f"{path}/deliveries").json()["deliveries"]
    assert {one["state"] for one in log} == {"pending"}
    assert {one["event_type"] for one in log} == {"CodeIssued"}
    ask("PATCH", path, state="disabled")
    assert ask("POST", f"{path}/deliveries/{due[0].delivery_id}/redeliver").status_code == 404


def test_endpoints_are_for_admins(app: AppClient) -> None:
    """Such endpoints receive every event."""
    assert app.client.get(PATH).status_code == 401
    assert app.client.get(PATH, headers=app.key("support")).status_code == 403
    assert app.client.post(PATH, json={"url": URL}, headers=app.key("support")).status_code == 403


def test_every_event_can_be_asked_for(ask: Ask) -> None:
    names = list(EVENT_TYPES)

    assert ask("POST", url=URL, event_types=names).json()["event_types"] == names
