"""Codes and refunds by API key: who may, what comes back, and paging."""

import pytest

from tests.support.clients.app_client import AppClient
from tests.support.ledger.code_template import make_template


def test_issue_list_and_look_at_codes(app: AppClient) -> None:
    admin = app.key("admin")
    issued = app.client.post("/api/v1/codes", json={"count": 5, "max_uses": None, "open": True}, headers=admin)
    first = app.client.get("/api/v1/codes?limit=3", headers=admin).json()
    second = app.client.get(f"/api/v1/codes?limit=3&cursor={first['next']}", headers=admin).json()

    codes = issued.json()
    assert issued.status_code == 201
    assert [len(first["codes"]), len(second["codes"]), second["next"]] == [3, 2, None]
    assert {c["id"] for c in first["codes"] + second["codes"]} == {c["id"] for c in codes}
    assert app.redeem(codes[0]["code"]).status_code == 202
    one = app.client.get(f"/api/v1/codes/{codes[0]['id']}", headers=admin).json()
    assert (one["reserved"], one["available"], one["state"]) == (1, None, "active")


def test_history_shows_each_event_with_its_balance(app: AppClient) -> None:
    """Issued, reserved, attempted, sent: with the balance after each, and without code or address."""
    admin = app.key("viewer")
    code = app.issue(make_template(max_uses=2))
    reservation_id = app.redeem(code).json()["reservation_id"]
    app.attempt(reservation_id)
    code_id = app.client.get("/api/v1/codes", headers=admin).json()["codes"][0]["id"]

    response = app.client.get(f"/api/v1/codes/{code_id}/history", headers=admin)

    body = response.json()
    kinds = [event["type"] for event in body["events"]]
    assert kinds == ["CodeIssued", "UseReserved", "InviteAttempted", "InviteSent"]
    assert [event["used_count"] for event in body["events"]] == [0, 0, 0, 1]
    assert [event["available"] for event in body["events"]] == [2, 1, 1, 1]
    assert (body["used_count"], body["state"]) == (1, "active")
    assert all(event["sentence"] for event in body["events"])
    assert "li.wei" not in response.text
    assert code not in response.text


def test_refund_returns_the_use_once(shared_app: AppClient) -> None:
    support = shared_app.key("support")
    reservation_id = shared_app.redeem(shared_app.issue()).json()["reservation_id"]
    shared_app.attempt(reservation_id)
    path = f"/api/v1/reservations/{reservation_id}/refund"

    first = shared_app.client.post(path, json={"note": "customer asked"}, headers=support)
    second = shared_app.client.post(path, json={"note": "again"}, headers=support)

    assert (first.status_code, first.json()["state"]) == (200, "refunded")
    assert (second.status_code, second.json()["code"]) == (409, "RESERVATION_NOT_REFUNDABLE")
    assert shared_app.client.post(path, json={"note": ""}, headers=support).status_code == 422


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        (None, "GET", "/api/v1/codes", 401),
        ("wrong", "GET", "/api/v1/codes", 401),
        ("viewer", "GET", "/api/v1/codes", 200),
        ("viewer", "POST", "/api/v1/codes", 403),
        ("support", "POST", "/api/v1/codes", 403),
        ("viewer", "POST", "/api/v1/reservations/00000000-0000-0000-0000-000000000001/refund", 403),
        ("support", "POST", "/api/v1/reservations/00000000-0000-0000-0000-000000000001/refund", 404),
        ("viewer", "GET", "/api/v1/codes/00000000-0000-0000-0000-000000000001", 404),
        ("viewer", "GET", "/api/v1/codes/00000000-0000-0000-0000-000000000001/history", 404),
    ],
)
def test_each_route_has_its_role(shared_app: AppClient, role: str | None, method: str, path: str, status: int) -> None:
    """401 without a key, 403 with one of a lower role."""
    headers = {} if role is None else {"Authorization": "Bearer wrong"} if role == "wrong" else shared_app.key(role)
    body = {"note": "x"} if path.endswith("refund") else {"count": 1}

    response = shared_app.client.request(method, path, headers=headers, json=body if method == "POST" else None)

    assert response.status_code == status
    assert "www-authenticate" in response.headers or status != 401


@pytest.mark.parametrize("cursor", ["x", "%00", "a" * 99, "MXwy"])
def test_bad_cursor_is_malformed(shared_app: AppClient, cursor: str) -> None:
    """A cursor that we did not make is 422, never 500."""
    assert shared_app.client.get(f"/api/v1/codes?cursor={cursor}", headers=shared_app.key("viewer")).status_code == 422


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "terms"}])
def test_issue_is_refused_by_the_rules_that_the_ledger_decides(shared_app: AppClient, key: dict[str, str]) -> None:
    admin = shared_app.key("admin")
    campaign = shared_app.client.post("/api/v1/campaigns", json={"name": "Spring"}, headers=admin).json()
    shared_app.client.post(f"/api/v1/campaigns/{campaign['id']}/end", headers=admin)
    first_page = shared_app.client.get("/api/v1/codes", headers=admin).json()["codes"]

    contradiction = shared_app.client.post(
        "/api/v1/codes",
        json={"max_uses": 1, "allowed_domains": ["example.com"], "denied_domains": ["example.com"]},
        headers=admin | key,
    )
    late = shared_app.client.post(
        "/api/v1/codes",
        json={"max_uses": 1, "campaign": campaign["id"]},
        headers=admin | {name: f"{value}-2" for name, value in key.items()},
    )

    assert (contradiction.status_code, contradiction.json()["code"]) == (422, "TERMS_CONTRADICT")
    assert (late.status_code, late.json()["code"]) == (400, "CAMPAIGN_ENDED")
    assert shared_app.client.get("/api/v1/codes", headers=admin).json()["codes"] == first_page
