"""Webhook endpoints on the admin's pages: made, tested, disabled, and their messages sent again."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from projections.repositories.webhook_deliveries import DeliveryResult, EndpointUpdate, WebhookDeliveryRepository
from projections.repositories.webhook_endpoints import WebhookEndpointRepository
from tests.support.clients.admin_client import secret_of
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, read_audit_log
from tests.support.servers.webhook_receiver import ScriptedReply, WebhookReceiver

URL = "https://bi.example.com/in"
PAGE = "/admin/webhooks"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine may be reached; asked for before the site, which reads its settings once."""
    monkeypatch.setenv("LEDGER_WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8")


def make(admin: StaffBrowser, **form: str) -> tuple[str, str]:
    """Fill in the form; the endpoint's page, and its path."""
    answer = admin.submit(PAGE, PAGE, **{"url": URL, "nonce": uuid4().hex, **form})
    match = re.search(r'action="(/admin/webhooks/[0-9a-f-]{36})"', answer.text)
    assert match is not None, answer.text
    return answer.text, match[1]


def test_endpoint_on_its_page(app: AppClient, admin: StaffBrowser) -> None:
    nonce = uuid4().hex
    page, path = make(admin, nonce=nonce, types="InviteSent", concurrency="2")
    again, same = make(admin, nonce=nonce)
    endpoints = WebhookEndpointRepository(app.services.storage)
    endpoint = endpoints.find(UUID(path.rpartition("/")[2]))
    assert endpoint is not None

    assert (path, again.count("whsec_")) == (same, 0)
    assert secret_of(page).startswith("whsec_")
    assert (endpoint.event_types, endpoint.concurrency) == (["InviteSent"], 2)
    assert URL in admin.get(PAGE).text
    assert admin.submit(path, path, url=URL + "2", concurrency="1").status_code == 303
    assert "whsec_" not in admin.get(path).text
    assert secret_of(admin.submit(f"{path}/secret", path).text) != secret_of(page)
    assert admin.submit(f"{path}/disable", path, reason=" ").status_code == 422
    for action, said in (("disable", "disabled"), ("enable", "enabled")):
        assert admin.submit(f"{path}/{action}", path, reason="moving").status_code == 303
        assert said in admin.get(path).text
    changed = endpoints.find(endpoint.endpoint_id)
    assert changed is not None
    assert (changed.url, changed.event_types, changed.state) == (URL + "2", [], "enabled")
    assert admin.submit(f"{path}/nonsense", path).status_code == 404
    assert admin.submit(f"{path}/remove", path, reason="moved").status_code == 303
    assert admin.get(path).status_code == 404
    audit = read_audit_log(admin)
    for action in ("added a webhook endpoint", "changed a webhook endpoint", "removed a webhook endpoint"):
        assert action in audit


def test_format_of_an_endpoint_is_chosen_on_its_page(app: AppClient, admin: StaffBrowser) -> None:
    _, path = make(admin, format="cloudevents")
    endpoints, endpoint_id = WebhookEndpointRepository(app.services.storage), UUID(path.rpartition("/")[2])

    def read_format() -> str:
        endpoint = endpoints.find(endpoint_id)
        return "" if endpoint is None else endpoint.format

    chosen = read_page(admin.get(path).text).find_all("option", value="cloudevents")
    assert ["selected" in option.attributes for option in chosen] == [True]
    admin.submit(path, path, url=URL + "2", format="")
    assert read_format() == "cloudevents"
    admin.submit(path, path, url=URL + "2", format="standard")
    assert read_format() == "standard"
    assert "format: cloudevents → standard" in read_audit_log(admin)


def test_pages_name_event_types_in_the_language_of_the_page(admin: StaffBrowser) -> None:
    _, path = make(admin, types="InviteSent")
    pages = {
        language: [read_page(admin.get(page, lang=language).text) for page in ("/admin/webhooks", path)]
        for language in ("zh", "en")
    }

    for language, name in {"zh": "已发送", "en": "sent"}.items():
        listed, endpoint = pages[language]
        assert f"{name} InviteSent" in listed.find("table", class_="list list-cards").find("tbody").text
        assert f"{name} InviteSent" in [label.text for label in endpoint.find_all("label")]


def test_form_names_the_field_of_an_invalid_target(app: AppClient, admin: StaffBrowser) -> None:
    before = app.count("webhook_endpoints")
    answer = admin.submit(PAGE, PAGE, url="https://192.168.0.1/", nonce=uuid4().hex, concurrency="99")

    assert answer.status_code == 422
    assert "LEDGER_WEBHOOK_ALLOW_PRIVATE" in answer.text
    assert read_page(answer.text).find_all(value="https://192.168.0.1/")
    assert app.count("webhook_endpoints") == before


@pytest.mark.usefixtures("here", "own_app")
def test_test_of_a_group_goes_to_its_own_system(app: AppClient, admin: StaffBrowser) -> None:
    with WebhookReceiver() as system:
        admin.submit(
            "/admin/groups/channel?name=design",
            "/admin/groups/one?name=design",
            channel="webhook",
            channel_url=system.url,
        )
        system.then(
            ScriptedReply.says(200, status="sent"),
            ScriptedReply.says(200, status="refused", reason="the team is closed"),
        )
        path = "/admin/groups/test?name=design"
        sent, refused = (admin.submit(path, "/admin", language="en", to="me@example.com").text for _ in range(2))

    assert f"http://127.0.0.1:{system.port} accepted the test" in sent
    assert "the team is closed" in refused
    assert [one.json()["type"] for one in system.received] == ["invite.test"] * 2
    assert app.count("ledger_events") == 0


@pytest.mark.usefixtures("own_app")
def test_its_messages_and_a_test_that_fails(app: AppClient, admin: StaffBrowser) -> None:
    page, path = make(admin)
    app.issue()
    deliveries, runner, now = WebhookDeliveryRepository(app.services.storage), uuid4(), app.services.now()
    lease = deliveries.lease(runner, now, now + timedelta(seconds=60))
    assert lease is not None
    deliveries.enqueue_new_events(lease, runner, now)
    (due,) = deliveries.list_due(lease.endpoint_id, now, 5)
    result = DeliveryResult(due.delivery_id, "failed", None, now, "server_error", 500, 12)
    deliveries.save_results(
        lease.endpoint_id, runner, [result], lambda standing: EndpointUpdate(standing.failures, None, None)
    )
    log = admin.get(path).text

    assert "whsec_" in page
    assert "failed" in log
    assert "server error (500), 12 ms" in log
    assert admin.submit(f"{path}/deliveries/{due.delivery_id}", path).status_code == 303
    assert "pending" in read_page(admin.get(path, state="pending").text).texts("span")
    deliveries.save_results(
        lease.endpoint_id, runner, [result], lambda standing: EndpointUpdate(standing.failures, None, None)
    )
    question = read_page(admin.get(f"{path}/redeliver").text).find("main")
    assert admin.submit(f"{path}/redeliver", f"{path}/redeliver", reason=" ").status_code == 422
    assert admin.submit(f"{path}/redeliver", f"{path}/redeliver", reason="their server is back").status_code == 303
    assert [row.find("dd").text for row in question.find_all("div", class_="row")] == ["1"]
    assert "their server is back; failed messages: 1" in admin.get("/support/audit").text
    assert "The endpoint did not accept the test" in admin.submit(f"{path}/test", path).text
    assert "webhook.test" in admin.get(path, state="failed").text
