"""POST /redeem as its callers see it: answers, refusals, languages, keys."""

import base64
import re
from datetime import timedelta
from uuid import uuid4

import pytest

from api.settings import ApiSettings
from domain.ports import Rejected
from domain.values.email_domains import parse_domains
from domain.values.timestamps import text_of
from projections.privacy.key_rotation import KeyRotation
from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import started
from tests.support.ledger.code_template import make_template

QUEUED_ZH = "已加入队列，邀请将在几秒内发送，请查收邮箱"
REFUSED = Rejected(server="mx:25", reason="address_refused", final=True, about_address=True, reply_code=550)


def test_redeem_is_accepted_with_the_broker_away(shared_app: AppClient) -> None:
    response = shared_app.redeem(shared_app.issue())

    body = response.json()
    assert response.status_code == 202
    assert body["message"] == QUEUED_ZH
    assert body["state"] == "reserved"
    assert body["status_url"] == f"/r/{body['reservation_id']}"
    assert response.headers["x-request-id"]


def test_second_request_gets_the_same_reservation(own_app: AppClient) -> None:
    code = own_app.issue()
    first = own_app.redeem(code).json()

    second = own_app.redeem(code.lower().replace("-", " "), "LI.WEI@Example.com")

    assert second.status_code == 200
    assert second.json()["reservation_id"] == first["reservation_id"]
    assert own_app.count("ledger_events") == 2


def test_after_sent_it_says_when(own_app: AppClient) -> None:
    code = own_app.issue(make_template(max_uses=2))
    first = own_app.redeem(code).json()
    own_app.attempt(first["reservation_id"])

    second = own_app.redeem(code, headers={"accept-language": "en"})

    assert second.status_code == 200
    assert second.json()["state"] == "sent"
    assert re.search(r"\b20\d\d-\d\d-\d\d \d\d:\d\d", second.json()["message"])
    assert own_app.count("reservations") == 1


def test_again_takes_a_further_use(shared_app: AppClient) -> None:
    code = shared_app.issue(make_template(max_uses=3))
    first = shared_app.redeem(code).json()["reservation_id"]
    shared_app.attempt(first)

    second = shared_app.redeem(code, again=first)
    third = shared_app.redeem(code, again=first)

    assert (second.status_code, third.status_code) == (202, 200)
    assert second.json()["reservation_id"] == third.json()["reservation_id"] != first
    assert shared_app.redeem(code, again=str(uuid4())).json()["code"] == "AGAIN_UNKNOWN"


def test_used_up_in_the_words_of_the_incident(shared_app: AppClient) -> None:
    code = shared_app.issue(make_template(max_uses=1, bound=False))
    first = shared_app.redeem(code).json()["reservation_id"]
    held_response = shared_app.redeem(code, "wang@example.com")
    shared_app.attempt(first)

    used_up = shared_app.redeem(code, "wang@example.com")

    assert (held_response.status_code, held_response.json()["code"]) == (400, "CODE_HELD")
    assert 1700 < int(held_response.headers["retry-after"]) <= 1800
    assert (used_up.status_code, used_up.json()["code"]) == (400, "CODE_EXHAUSTED")
    assert "兑换码已用完" in used_up.json()["detail"]
    assert used_up.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_code_that_has_not_started_says_when_to_come_back(shared_app: AppClient, language: str) -> None:
    starts_at = (shared_app.services.now() + timedelta(days=2)).replace(microsecond=0)
    code = shared_app.issue(make_template(starts_at=starts_at))
    headers = {"Accept-Language": language}

    early = shared_app.client.post(
        "/api/v1/public/redeem", json={"email": "li.wei@example.com", "code": code}, headers=headers
    )
    form = shared_app.client.post("/invite", data={"email": "li.wei@example.com", "code": code}, headers=headers)

    assert (early.status_code, early.json()["code"]) == (400, "CODE_NOT_STARTED")
    assert 172_700 < int(early.headers["retry-after"]) <= 172_801
    assert text_of(starts_at) in early.json()["detail"]
    assert (form.status_code, int(form.headers["retry-after"]) > 172_700) == (400, True)
    assert f"{starts_at:%Y-%m-%d}" in form.text


def test_only_addresses_of_allowed_domains_redeem(shared_app: AppClient) -> None:
    """By the A-label, whatever was typed; of a batch, each item alone."""
    allowed = parse_domains("*.bücher.example, example.com")
    code = shared_app.issue(make_template(allowed_domains=allowed, max_uses=None, bound=False))

    refused = shared_app.redeem(code, "li.wei@example.org")
    accepted = [shared_app.redeem(code, address) for address in ("a@shop.BÜCHER.example", "B@Example.com")]
    form = shared_app.client.post("/invite", data={"email": "li.wei@example.org", "code": code})
    batch = shared_app.client.post(
        "/api/v1/redemptions/batch",
        json={"items": [{"email": f"c@{domain}", "code": code} for domain in ("example.com", "bücher.example")]},
        headers=shared_app.key("support"),
    ).json()

    assert (refused.status_code, refused.json()["code"]) == (400, "DOMAIN_NOT_ALLOWED")
    assert [answer.status_code for answer in accepted] == [202, 202]
    assert 'aria-invalid="true"' in form.text
    assert (batch["accepted"], batch["results"][1]["code"]) == (1, "DOMAIN_NOT_ALLOWED")


def test_refused_address_leaves_the_code_to_others(shared_app: AppClient) -> None:
    code = shared_app.issue()
    first = shared_app.redeem(code, "nobody@example.com").json()["reservation_id"]
    shared_app.attempt(first, REFUSED)

    status = shared_app.client.get(f"/api/v1/public/redemptions/{first}").json()

    assert (status["state"], status["detail_code"]) == ("refunded", "address_refused")
    assert not status["success"]
    assert shared_app.redeem(code, "wang@example.com").status_code == 202


@pytest.mark.parametrize(
    ("header", "language", "title"),
    [
        ("zh-CN,zh;q=0.9", "zh", "兑换码无效"),
        ("en-US,en;q=0.9", "en", None),
        ("fr", "zh", "兑换码无效"),
        ("", "zh", "兑换码无效"),
        ("en;q=0.1, zh;q=0.9", "zh", "兑换码无效"),
        (";;;q=x,,", "zh", "兑换码无效"),
    ],
)
def test_answers_come_in_the_callers_language(
    own_app: AppClient, header: str, language: str, title: str | None
) -> None:
    response = own_app.redeem("NOSUCHCODE", headers={"accept-language": header})

    assert response.headers["content-language"] == language
    assert title is None or response.json()["title"] == title


def test_idempotency_key_outlives_the_pepper_that_it_came_under(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shop's retry after the ring was rotated is no other body, and a person's is no new request."""
    peppers = settings.peppers.get_secret_value()
    headers = {"Idempotency-Key": "order-17"}
    with started(settings) as app:
        code, key = app.issue(make_template(max_uses=4, bound=False)), app.key("support")
        body = {"email": "li.wei@example.com", "code": code}
        shop = app.client.post("/api/v1/redemptions", json=body, headers=headers | key).json()["reservation_id"]
        person = app.redeem(code, "mei@example.com", headers=headers).json()["reservation_id"]
        for caller_headers in (shop, person):
            assert app.client.post(f"/api/v1/reservations/{caller_headers}/cancel", headers=key).status_code == 200

    monkeypatch.setenv("LEDGER_PEPPERS", f"2:{base64.b64encode(b'q' * 32).decode()},{peppers}")
    with started(ApiSettings.from_environment()) as app:
        again = app.client.post("/api/v1/redemptions", json=body, headers=headers | key)
        other = app.client.post("/api/v1/redemptions", json={**body, "email": "mei@example.com"}, headers=headers | key)
        repeated = app.redeem(code, "mei@example.com", headers=headers)

    assert (again.status_code, again.json().get("reservation_id")) == (200, shop)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (repeated.status_code, repeated.json()["reservation_id"]) == (200, person)


def test_idempotency_key_of_an_api_key_outlives_the_removal_of_the_old_pepper(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body's digest can't be made again, but the reservation says what was asked for; another body is refused."""
    peppers, headers = settings.peppers.get_secret_value(), {"Idempotency-Key": "order-18"}
    new = f"2:{base64.b64encode(b'q' * 32).decode()}"
    with started(settings) as app:
        code, key = app.issue(make_template(max_uses=4, bound=False)), app.key("support")
        body = {"email": "li.wei@example.com", "code": code}
        first = app.client.post("/api/v1/redemptions", json=body, headers=headers | key).json()["reservation_id"]
        other = app.redeem(code, "mei@example.com").json()["reservation_id"]
        assert app.client.post(f"/api/v1/reservations/{first}/cancel", headers=key).status_code == 200

    monkeypatch.setenv("LEDGER_PEPPERS", f"{new},{peppers}")
    with started(ApiSettings.from_environment()) as app:
        list(KeyRotation(app.services.storage).run())
    monkeypatch.setenv("LEDGER_PEPPERS", new)
    with started(ApiSettings.from_environment()) as app:
        repeated = app.client.post("/api/v1/redemptions", json=body, headers=headers | key)
        bodies = ({**body, "email": "mei@example.com"}, {**body, "again": first}, {**body, "code": app.issue()})
        refused = [
            app.client.post("/api/v1/redemptions", json=request_body, headers=headers | key) for request_body in bodies
        ]

    assert other != first
    assert (repeated.status_code, repeated.json().get("reservation_id")) == (200, first)
    assert [answer.json()["code"] for answer in refused] == ["IDEMPOTENCY_KEY_REUSED"] * 3


def test_idempotency_key_repeats_the_answer(shared_app: AppClient) -> None:
    """Same key, same body: the same reservation even after it was refunded; other body: 422."""
    code = shared_app.issue(make_template(max_uses=3))
    headers = {"Idempotency-Key": "k1"}
    first = shared_app.redeem(code, headers=headers).json()["reservation_id"]
    shared_app.attempt(first, REFUSED)

    again = shared_app.redeem(code, headers=headers)
    other = shared_app.redeem(code, headers=headers, again=first)

    assert (again.status_code, again.json()["reservation_id"], again.json()["state"]) == (200, first, "refunded")
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert shared_app.redeem(code, headers={"Idempotency-Key": "k" * 256}).status_code == 422


def test_state_is_shown_by_id_only(shared_app: AppClient) -> None:
    assert shared_app.client.get(f"/api/v1/public/redemptions/{uuid4()}").json()["code"] == "NOT_FOUND"
    assert shared_app.client.get("/api/v1/public/redemptions/abc").json()["code"] == "MALFORMED"


def test_stream_ends_when_settled(shared_app: AppClient) -> None:
    first = shared_app.redeem(shared_app.issue()).json()["reservation_id"]
    shared_app.attempt(first)

    with shared_app.client.stream("GET", f"/api/v1/public/redemptions/{first}/stream") as response:
        lines = [line for line in response.iter_lines() if line]

    assert response.headers["content-type"].startswith("text/event-stream")
    assert len(lines) == 1
    assert '"state":"sent"' in lines[0]
